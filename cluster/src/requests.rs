//! Appends that were forwarded over one link and are not answered.
//!
//! Invariant: each is answered exactly once, as what is known of it: `NotSent` until its frame began to be written, `Unknown`
//! after that when the link ends or time is up, and otherwise what the peer said. Whoever asks after the end is answered too.

use std::collections::{BTreeMap, BTreeSet};

use alluvium_infra::runtime::Instant;
use alluvium_log::{AppendOutcome, ForwardError};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

/// What a forwarded append is answered with.
pub(crate) type Answer = Result<Vec<AppendOutcome>, ForwardError>;

/// The unanswered requests of one link.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    open: Mutex<Open>,
    /// Told when a request came that expires before all others.
    pub(crate) sooner: Notify,
}

#[derive(Debug, Default)]
struct Open {
    last: u64,
    pending: BTreeMap<u64, Pending>,
    expiries: BTreeSet<(Instant, u64)>,
    closed: bool,
}

#[derive(Debug)]
struct Pending {
    reply: oneshot::Sender<Answer>,
    expires: Instant,
    batch_count: usize,
    sent: bool,
}

impl Requests {
    /// A number for a request that is given up at `expires`. When the link has ended the reply is answered at once.
    pub(crate) fn begin(&self, reply: oneshot::Sender<Answer>, batch_count: usize, expires: Instant) -> Option<u64> {
        let mut open = self.open.lock();
        if open.closed {
            answer(reply, Err(ForwardError::NotSent("the link has ended".to_owned())));
            return None;
        }
        open.last += 1;
        let number = open.last;
        let sooner = open.expiries.first().is_none_or(|(first, _)| expires < *first);
        open.pending.insert(number, Pending { reply, expires, batch_count, sent: false });
        open.expiries.insert((expires, number));
        drop(open);
        if sooner {
            self.sooner.notify_one();
        }
        Some(number)
    }

    /// The frame of a request is about to be written; `false` when it was answered already and must not be.
    pub(crate) fn sending(&self, number: u64) -> bool {
        self.open.lock().pending.get_mut(&number).map(|pending| pending.sent = true).is_some()
    }

    /// The answer to a request that is still open. An answer that does not fit the request says nothing about it.
    pub(crate) fn resolve(&self, number: u64, answered: Answer) -> bool {
        let Some(pending) = self.take(number) else { return false };
        let fits = answered.as_ref().map_or(true, |outcomes| outcomes.len() == pending.batch_count);
        answer(pending.reply, if fits { answered } else { Err(ForwardError::Unknown) });
        fits
    }

    /// Gives up what is due by `now`.
    pub(crate) fn expire(&self, now: Instant) {
        loop {
            let due = self.open.lock().expiries.first().copied().filter(|(expires, _)| *expires <= now);
            let Some(pending) = due.and_then(|(_, number)| self.take(number)) else { return };
            give_up(pending, "no answer was possible in time");
        }
    }

    /// When the next request is due.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.open.lock().expiries.first().map(|(expires, _)| *expires)
    }

    /// Answers everything: the link has ended.
    pub(crate) fn close(&self) {
        let pending = {
            let mut open = self.open.lock();
            open.closed = true;
            open.expiries.clear();
            std::mem::take(&mut open.pending)
        };
        for pending in pending.into_values() {
            give_up(pending, "the link has ended");
        }
    }

    fn take(&self, number: u64) -> Option<Pending> {
        let mut open = self.open.lock();
        let pending = open.pending.remove(&number)?;
        open.expiries.remove(&(pending.expires, number));
        Some(pending)
    }
}

fn give_up(pending: Pending, reason: &str) {
    let error = if pending.sent { ForwardError::Unknown } else { ForwardError::NotSent(reason.to_owned()) };
    answer(pending.reply, Err(error));
}

/// Whoever asked may be gone, which is fine.
pub(crate) fn answer(reply: oneshot::Sender<Answer>, answered: Answer) {
    drop(reply.send(answered));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use alluvium_infra::Runtime;

    use super::*;

    fn outcome() -> AppendOutcome {
        AppendOutcome::Appended { base_offset: 5, log_start_offset: 0 }
    }

    #[test]
    fn each_request_is_answered_once_as_what_is_known_of_it() {
        Runtime::simulate(1, |runtime| async move {
            let requests = Requests::default();
            let begin = |seconds| {
                let (reply, answer) = oneshot::channel();
                let expires = runtime.monotonic() + Duration::from_secs(seconds);
                (requests.begin(reply, 1, expires), answer)
            };
            let (answered, answer) = begin(9);
            assert!(requests.sending(answered.unwrap()) && requests.resolve(answered.unwrap(), Ok(vec![outcome()])));
            assert!(matches!(answer.await.unwrap(), Ok(outcomes) if outcomes == [outcome()]));
            assert!(!requests.resolve(answered.unwrap(), Ok(vec![outcome()])), "it was answered");
            let (misfit, misfit_answer) = begin(9);
            assert!(!requests.resolve(misfit.unwrap(), Ok(vec![outcome(), outcome()])));
            assert!(matches!(misfit_answer.await.unwrap(), Err(ForwardError::Unknown)));

            let ((late, late_answer), (_, never_answer)) = (begin(2), begin(1));
            let (sent, sent_answer) = begin(9);
            let (_, queued_answer) = begin(9);
            assert!(requests.sending(late.unwrap()) && requests.sending(sent.unwrap()));
            assert_eq!(requests.next_expiry(), Some(runtime.monotonic() + Duration::from_secs(1)));
            requests.expire(runtime.monotonic() + Duration::from_secs(2));
            assert!(matches!(late_answer.await.unwrap(), Err(ForwardError::Unknown)));
            assert!(matches!(never_answer.await.unwrap(), Err(ForwardError::NotSent(_))));
            requests.close();
            assert!(matches!(sent_answer.await.unwrap(), Err(ForwardError::Unknown)));
            assert!(matches!(queued_answer.await.unwrap(), Err(ForwardError::NotSent(_))));
            let (none, after_answer) = begin(9);
            assert_eq!(none, None);
            assert!(matches!(after_answer.await.unwrap(), Err(ForwardError::NotSent(_))));
        });
    }
}
