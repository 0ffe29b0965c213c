// The page's start.
const notice = document.createElement('p');
notice.textContent = 'This is a Holdfast node. Chat with it: chatctl --help';
document.body.append(notice);
