//! The picture of the cluster for the sockets that asked for it: made once for all of them, when it
//! has changed, and not at all while nobody asks.

use std::{future::pending, sync::Arc};

use axum::extract::ws::Utf8Bytes;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use super::frame::ServerFrame;
use crate::{http::limits, service::Service};

/// The newest picture, as a frame.
#[derive(Clone)]
pub(in crate::http) struct Gallery {
    service: Service,
    newest: Arc<watch::Sender<Utf8Bytes>>,
}

/// What one socket sees of it.
pub(super) struct Watched(Option<watch::Receiver<Utf8Bytes>>);

impl Gallery {
    /// Keeps the picture current until `stop` holds true.
    pub(in crate::http) fn open(service: Service, mut stop: watch::Receiver<bool>) -> Self {
        let (newest, _) = watch::channel(Utf8Bytes::default());
        let gallery = Self { service, newest: Arc::new(newest) };
        let painter = gallery.clone();
        tokio::spawn(async move {
            let mut ticks = interval(limits::CLUSTER_FRAME_INTERVAL);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let paint = async {
                loop {
                    ticks.tick().await;
                    if painter.newest.receiver_count() > 0 {
                        painter.paint();
                    }
                }
            };
            tokio::select! {
                () = paint => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        });
        gallery
    }

    /// What a socket sees that asked for it, or did not: the first picture at once.
    pub(super) fn watch(&self, is_asked: bool) -> Watched {
        if !is_asked {
            return Watched(None);
        }
        if self.newest.receiver_count() == 0 {
            self.paint();
        }
        let mut newest = self.newest.subscribe();
        newest.mark_changed();
        Watched(Some(newest))
    }

    fn paint(&self) {
        let frame = ServerFrame::Cluster(self.service.cluster());
        let Ok(text) = frame.json() else { return };
        self.newest.send_if_modified(|newest| {
            let is_news = newest.as_str() != text;
            if is_news {
                *newest = text.into();
            }
            is_news
        });
    }
}

impl Watched {
    /// The next picture; never, for who did not ask. Nothing is lost when it is dropped.
    pub(super) async fn next(&mut self) -> Utf8Bytes {
        if let Some(newest) = &mut self.0
            && newest.changed().await.is_ok()
        {
            return newest.borrow_and_update().clone();
        }
        pending().await
    }
}
