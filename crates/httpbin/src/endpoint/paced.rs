//! A body that is made piece by piece, with a pause between two pieces, and trailers at its end.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::HeaderMap;
use hyper::body::Frame;
use tokio::time::{Instant, Sleep};

use crate::random::Random;

/// Pieces `0..count`, the first at once.
pub(super) struct Paced<F> {
    make: F,
    next: usize,
    count: usize,
    pause: Duration,
    /// Share by which a pause may be longer or shorter, and what chooses.
    jitter: Option<(f64, Random)>,
    due: Option<Pin<Box<Sleep>>>,
    trailers: Option<Box<dyn FnOnce() -> HeaderMap + Send>>,
}

impl<F: FnMut(usize) -> Bytes + Send + Unpin + 'static> Paced<F> {
    pub(super) fn new(count: usize, pause: Duration, make: F) -> Self {
        Self { make, next: 0, count, pause, jitter: None, due: None, trailers: None }
    }

    /// Makes each pause longer or shorter by up to `share` of it.
    pub(super) fn with_jitter(mut self, share: f64, random: Random) -> Self {
        self.jitter = (share > 0.0).then_some((share, random));
        self
    }

    /// Fields behind the last piece, made when it was sent.
    pub(super) fn with_trailers(mut self, make: impl FnOnce() -> HeaderMap + Send + 'static) -> Self {
        self.trailers = Some(Box::new(make));
        self
    }

    pub(super) fn into_body(self) -> Body {
        Body::new(self)
    }

    fn next_pause(&mut self) -> Duration {
        match &mut self.jitter {
            None => self.pause,
            Some((share, random)) => self.pause.mul_f64(1.0 + *share * (2.0 * random.unit() - 1.0)),
        }
    }
}

/// The pause that lets `count` pieces take `whole`: none follows the last.
pub(super) fn pause_between(whole: Duration, count: usize) -> Duration {
    let gaps = u128::try_from(count.saturating_sub(1)).unwrap_or(u128::MAX).max(1);
    // No shorter than a fair share, so that the whole is not shorter than asked.
    let nanoseconds = whole.as_nanos().div_ceil(gaps);
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}

impl<F: FnMut(usize) -> Bytes + Send + Unpin + 'static> hyper::body::Body for Paced<F> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.next == self.count {
            return Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers()))));
        }
        if let Some(due) = self.due.as_mut() {
            ready!(due.as_mut().poll(cx));
        }
        let index = self.next;
        self.next += 1;
        let pause = self.next_pause();
        if self.next < self.count && !pause.is_zero() {
            // Pauses are counted from one due time to the next, so that they do not add up lateness.
            match self.due.as_mut() {
                None => self.due = Some(Box::pin(tokio::time::sleep(pause))),
                Some(due) => {
                    let next = due.deadline() + pause;
                    due.as_mut().reset(next.max(Instant::now()));
                }
            }
        }
        Poll::Ready(Some(Ok(Frame::data((self.make)(index)))))
    }

    fn is_end_stream(&self) -> bool {
        self.next == self.count && self.trailers.is_none()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[test]
    fn pauses_add_up_to_no_less_than_the_whole() {
        let ms = Duration::from_millis;
        assert_eq!(pause_between(ms(90), 10), ms(10));
        assert_eq!(pause_between(ms(100), 1), ms(100));
        assert_eq!(pause_between(Duration::from_nanos(10), 4), Duration::from_nanos(4));
        assert_eq!(pause_between(Duration::ZERO, 4), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn pieces_come_at_their_times_and_trailers_last() {
        let started = Instant::now();
        let trailers = || HeaderMap::from_iter([(http::header::ETAG, "t".parse().unwrap())]);
        let mut body = Paced::new(3, Duration::from_millis(10), |index| Bytes::from(index.to_string()))
            .with_trailers(trailers);
        for (index, due) in [(0, 0), (1, 10), (2, 20)] {
            let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!((piece, started.elapsed().as_millis()), (Bytes::from(index.to_string()), due));
        }
        assert_eq!(body.frame().await.unwrap().unwrap().into_trailers().unwrap()["etag"], "t");
        assert!(body.frame().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn jitter_stays_within_its_share() {
        let started = Instant::now();
        let body = Paced::new(101, Duration::from_millis(10), |_| Bytes::from_static(b"x"))
            .with_jitter(0.5, Random::new(1));
        body.collect().await.unwrap();
        let took = started.elapsed().as_millis();
        assert!((500..1_500).contains(&took) && took != 1_000, "{took}");
    }
}
