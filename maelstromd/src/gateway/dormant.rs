//! A future that is polled only when it was woken itself.
//!
//! A connection's task wakes for every request; the futures that end the connection one day (stop, idle
//! time-out) have nothing to say each time, and asking them costs more than their silence is worth.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::AcqRel},
    },
    task::{Context, Poll, Wake, Waker},
};

/// Wraps a future of a task that often wakes for other reasons.
#[derive(Debug)]
pub(super) struct Dormant<F> {
    future: F,
    alarm: Option<Arc<Alarm>>,
}

#[derive(Debug)]
struct Alarm {
    rung: AtomicBool,
    task: Waker,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.rung.store(true, std::sync::atomic::Ordering::Release);
        self.task.wake_by_ref();
    }
}

// === impl Dormant ===

impl<F> Dormant<F> {
    pub(super) fn new(future: F) -> Self {
        Self { future, alarm: None }
    }
}

impl<F: Future + Unpin> Future for Dormant<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let alarm = match &self.alarm {
            Some(alarm) if alarm.task.will_wake(cx.waker()) => {
                if !alarm.rung.swap(false, AcqRel) {
                    return Poll::Pending;
                }
                Arc::clone(alarm)
            }
            // The first time, and when another task has taken over.
            _ => {
                let alarm = Arc::new(Alarm { rung: AtomicBool::new(false), task: cx.waker().clone() });
                self.alarm = Some(Arc::clone(&alarm));
                alarm
            }
        };
        let waker = Waker::from(alarm);
        Pin::new(&mut self.future).poll(&mut Context::from_waker(&waker))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        sync::atomic::{AtomicUsize, Ordering::SeqCst},
        time::Duration,
    };

    use super::*;

    #[tokio::test]
    async fn it_is_asked_once_until_it_is_woken() {
        let asked = Arc::new(AtomicUsize::new(0));
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let count = Arc::clone(&asked);
        let mut receiver = Box::pin(receiver);
        let mut dormant = Dormant::new(poll_fn(move |cx| {
            count.fetch_add(1, SeqCst);
            receiver.as_mut().poll(cx)
        }));
        for _ in 0..10 {
            let pending = poll_fn(|cx| Poll::Ready(Pin::new(&mut dormant).poll(cx).is_pending())).await;
            assert!(pending);
        }
        assert_eq!(asked.load(SeqCst), 1);
        tokio::spawn(async move { sender.send(5) });
        let answer = tokio::time::timeout(Duration::from_secs(20), dormant).await;
        assert_eq!(answer.expect("it wakes the task").expect("the sender sends"), 5);
        assert_eq!(asked.load(SeqCst), 2);
    }
}
