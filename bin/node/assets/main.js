// The page's start: who is asked, and where it is shown.

import { App } from './app.js';
import { Page } from './view/page.js';

const told = document.querySelector('meta[name="holdfast-nodes"]')?.getAttribute('content') ?? '';
const app = new App({ own: location.origin, nodes: told.split(' ').filter(Boolean) });
document.body.append(new Page(app).element);
app.start();
