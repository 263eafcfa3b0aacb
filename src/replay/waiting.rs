//! How a thread of the bench waits.

use std::sync::mpsc::{Receiver, RecvError, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

/// How a thread waits: a thread that sleeps wakes up late and on a cold core; one that spins keeps a core busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// Spins; for threads that have their cores to themselves.
    Spin,
    /// Sleeps.
    Sleep,
}

impl Waiting {
    /// Spins where a condition allows it, and sleeps elsewhere.
    pub const fn spin_if(allowed: bool) -> Self {
        if allowed { Self::Spin } else { Self::Sleep }
    }

    /// Waits until a moment, or not at all where it has passed.
    pub fn until(self, due: Instant) {
        while let Some(left) = time_left(due) {
            match self {
                Self::Spin => std::hint::spin_loop(),
                Self::Sleep => std::thread::sleep(left),
            }
        }
    }

    /// Waits for a message.
    ///
    /// # Errors
    /// Where all senders are gone.
    pub fn receive<T>(self, messages: &Receiver<T>) -> Result<T, RecvError> {
        loop {
            match (self, messages.try_recv()) {
                (Self::Sleep, Err(TryRecvError::Empty)) => return messages.recv(),
                (Self::Spin, Err(TryRecvError::Empty)) => std::hint::spin_loop(),
                (_, Ok(message)) => return Ok(message),
                (_, Err(TryRecvError::Disconnected)) => return Err(RecvError),
            }
        }
    }

    /// Waits for a message until a moment. A message that is there comes first, even where the moment has passed.
    ///
    /// # Errors
    /// Where the moment comes first, or all senders are gone.
    pub fn receive_until<T>(self, messages: &Receiver<T>, due: Instant) -> Result<T, RecvTimeoutError> {
        loop {
            match messages.try_recv() {
                Ok(message) => return Ok(message),
                Err(TryRecvError::Disconnected) => return Err(RecvTimeoutError::Disconnected),
                Err(TryRecvError::Empty) => {}
            }
            let left = time_left(due).ok_or(RecvTimeoutError::Timeout)?;
            match self {
                Self::Spin => std::hint::spin_loop(),
                Self::Sleep => match messages.recv_timeout(left) {
                    Err(RecvTimeoutError::Timeout) => {}
                    heard => return heard,
                },
            }
        }
    }
}

fn time_left(due: Instant) -> Option<Duration> {
    due.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests {
    use super::Waiting;
    use std::sync::mpsc::{RecvTimeoutError, channel};
    use std::time::{Duration, Instant};

    #[test]
    fn a_wait_ends_with_a_message_or_at_its_moment_and_never_before() {
        for waiting in [Waiting::Spin, Waiting::Sleep] {
            let begin = Instant::now();
            let due = begin + Duration::from_millis(5);
            waiting.until(due);
            assert!(Instant::now() >= due, "{waiting:?}");

            let (send, messages) = channel();
            let later = Instant::now() + Duration::from_millis(5);
            assert_eq!(waiting.receive_until(&messages, later), Err(RecvTimeoutError::Timeout));
            assert!(Instant::now() >= later, "{waiting:?}");
            send.send(1).expect("a receiver is there");
            assert_eq!(waiting.receive_until(&messages, begin), Ok(1), "what is there comes before what is due");
            send.send(2).expect("a receiver is there");
            assert_eq!(waiting.receive(&messages), Ok(2));
            drop(send);
            assert_eq!(waiting.receive_until(&messages, later), Err(RecvTimeoutError::Disconnected));
            assert!(waiting.receive(&messages).is_err(), "{waiting:?}");
        }
    }
}
