use super::*;

const STATE: EndStep = EndStep::Refuse(TransactionError::InvalidTransactionState);
const FENCED: EndStep = EndStep::Refuse(TransactionError::ProducerFenced);
const UNKNOWN: EndStep = EndStep::Refuse(TransactionError::InvalidProducerIdMapping);

/// EndTxn before version 5.
fn old(producer: Identity, commit: bool) -> EndRequest {
    EndRequest { producer, commit, raises_epoch: false }
}

/// EndTxn from version 5 on.
fn new(producer: Identity, commit: bool) -> EndRequest {
    EndRequest { producer, commit, raises_epoch: true }
}

#[test]
fn an_unknown_id_has_nothing_to_end() {
    for commit in [false, true] {
        assert_eq!(end(None, old(pair(EPOCH), commit)), UNKNOWN);
        assert_eq!(end(None, new(pair(EPOCH), commit)), UNKNOWN);
    }
}

#[test]
fn what_is_open_is_decided_as_asked() {
    for of in [at, renewed, raised] {
        for commit in [false, true] {
            assert_eq!(end(Some(of(Ongoing)), old(pair(EPOCH), commit)), EndStep::Decide(Next::Pair(pair(EPOCH))));
            assert_eq!(end(Some(of(Ongoing)), new(pair(EPOCH), commit)), EndStep::Decide(Next::Pair(pair(EPOCH + 1))));
        }
    }
    let last = Standing { current: pair(EPOCH_MAX), ..at(Ongoing) };
    assert_eq!(end(Some(last), old(pair(EPOCH_MAX), true)), EndStep::Decide(Next::Pair(pair(EPOCH_MAX))));
    assert_eq!(end(Some(last), new(pair(EPOCH_MAX), true)), EndStep::Decide(Next::NewProducerId));
}

#[test]
fn old_clients_that_ask_for_what_has_happened_hear_that_it_has() {
    let current = pair(EPOCH);
    let answers = [
        (Empty, true, STATE),
        (Empty, false, STATE),
        (PrepareCommit, true, EndStep::Decided(current)),
        (PrepareCommit, false, STATE),
        (PrepareAbort, true, STATE),
        (PrepareAbort, false, EndStep::Decided(current)),
        (CompleteCommit, true, EndStep::Answer(current)),
        (CompleteCommit, false, STATE),
        (CompleteAbort, true, STATE),
        (CompleteAbort, false, EndStep::Answer(current)),
    ];
    for (status, commit, expected) in answers {
        for of in [at, renewed, raised] {
            assert_eq!(end(Some(of(status)), old(current, commit)), expected, "{status:?} {commit}");
        }
    }
}

#[test]
fn old_clients_never_end_what_another_epoch_had() {
    for standing in every_standing() {
        for identity in every_identity().into_iter().filter(|identity| *identity != standing.current) {
            let expected = if identity.producer_id == standing.current.producer_id { FENCED } else { UNKNOWN };
            for commit in [false, true] {
                assert_eq!(end(Some(standing), old(identity, commit)), expected, "{identity:?} {standing:?}");
            }
        }
    }
}

#[test]
fn the_same_end_with_the_epoch_before_is_a_repeated_one() {
    let current = pair(EPOCH);
    let answers = [
        (Empty, true, FENCED),
        (Empty, false, FENCED),
        (Ongoing, true, FENCED),
        (Ongoing, false, FENCED),
        (PrepareCommit, true, EndStep::Decided(current)),
        (PrepareCommit, false, STATE),
        (PrepareAbort, true, FENCED),
        (PrepareAbort, false, EndStep::Decided(current)),
        (CompleteCommit, true, EndStep::Answer(current)),
        (CompleteCommit, false, STATE),
        (CompleteAbort, true, FENCED),
        (CompleteAbort, false, EndStep::Answer(current)),
    ];
    for (status, commit, expected) in answers {
        let request = new(pair(EPOCH - 1), commit);
        assert_eq!(end(Some(raised(status)), request), expected, "{status:?} {commit}");
        // Somebody else has had the epoch since, or no end has raised it.
        assert_eq!(end(Some(at(status)), request), FENCED, "{status:?} {commit}");
        let unraised = Standing { marker: Some(pair(EPOCH - 1)), ..renewed(status) };
        assert_eq!(end(Some(unraised), request), FENCED, "{status:?} {commit}");
        assert_eq!(end(Some(raised(status)), new(pair(EPOCH - 2), commit)), FENCED, "{status:?} {commit}");
    }
}

#[test]
fn a_repeated_end_that_used_up_the_epochs_names_the_old_producer_id() {
    let before = Identity::new(OTHER_PRODUCER, EPOCH_MAX);
    assert_eq!(end(Some(rotated(CompleteCommit)), new(before, true)), EndStep::Answer(pair(0)));
    assert_eq!(end(Some(rotated(PrepareAbort)), new(before, false)), EndStep::Decided(pair(0)));
    assert_eq!(end(Some(rotated(CompleteCommit)), new(before, false)), STATE);
    for status in [Empty, Ongoing] {
        assert_eq!(end(Some(rotated(status)), new(before, true)), UNKNOWN);
    }
    let earlier = Identity::new(OTHER_PRODUCER, EPOCH_MAX - 1);
    assert_eq!(end(Some(rotated(CompleteCommit)), new(earlier, true)), UNKNOWN);
}

#[test]
fn new_clients_abort_what_is_empty_and_commit_it_never() {
    let next = EndStep::Decide(Next::Pair(pair(EPOCH + 1)));
    for of in [at, renewed, raised] {
        for status in [Empty, CompleteCommit, CompleteAbort] {
            assert_eq!(end(Some(of(status)), new(pair(EPOCH), false)), next, "{status:?}");
            assert_eq!(end(Some(of(status)), new(pair(EPOCH), true)), STATE, "{status:?}");
        }
        // The transaction before is ending; this request is about the one after it.
        for status in [PrepareCommit, PrepareAbort] {
            for commit in [false, true] {
                assert_eq!(end(Some(of(status)), new(pair(EPOCH), commit)), EndStep::Wait, "{status:?}");
            }
        }
    }
}

#[test]
fn a_transaction_that_took_too_long_may_be_aborted_again_but_not_committed() {
    // The abort raised the epoch although nobody asked for it.
    let timed_out = raised(CompleteAbort);
    assert_eq!(end(Some(timed_out), new(pair(EPOCH - 1), false)), EndStep::Answer(pair(EPOCH)));
    assert_eq!(end(Some(timed_out), new(pair(EPOCH - 1), true)), FENCED);
    assert_eq!(end(Some(timed_out), old(pair(EPOCH - 1), false)), FENCED);
    assert_eq!(end(Some(timed_out), old(pair(EPOCH - 1), true)), FENCED);
}

#[test]
fn a_decision_is_proposed_once_and_never_turned() {
    for standing in every_standing() {
        for producer in every_identity() {
            for (commit, raises_epoch) in [(false, false), (false, true), (true, false), (true, true)] {
                let request = EndRequest { producer, commit, raises_epoch };
                let case = format!("{request:?} {standing:?}");
                match end(Some(standing), request) {
                    EndStep::Decide(next) => {
                        assert_eq!(producer, standing.current, "{case}");
                        assert!(!is_decided(standing.status), "{case}");
                        assert!(!commit || standing.status == Ongoing, "{case}");
                        let same = Next::Pair(standing.current);
                        assert_eq!(next, if raises_epoch { standing.current.raised() } else { same }, "{case}");
                    }
                    EndStep::Answer(identity) => {
                        let happened = if commit { CompleteCommit } else { CompleteAbort };
                        assert_eq!((identity, standing.status), (standing.current, happened), "{case}");
                    }
                    EndStep::Decided(identity) => {
                        let decided = if commit { PrepareCommit } else { PrepareAbort };
                        assert_eq!((identity, standing.status), (standing.current, decided), "{case}");
                    }
                    EndStep::Wait => assert!(is_decided(standing.status), "{case}"),
                    EndStep::Refuse(_) => {}
                }
            }
        }
    }
}
