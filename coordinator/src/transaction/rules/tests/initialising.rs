use super::*;

fn begins(next: Next, repeatable: bool) -> InitStep {
    InitStep::Begin { next, repeatable }
}

#[test]
fn an_unknown_id_gets_a_producer_id_that_nobody_had() {
    for expected in [None, Some(pair(EPOCH)), Some(pair(EPOCH_MAX))] {
        assert_eq!(init(None, expected), begins(Next::NewProducerId, false));
    }
}

#[test]
fn a_new_process_fences_whatever_is_there() {
    let next = Next::Pair(pair(EPOCH + 1));
    for of in [at, renewed, raised] {
        for status in [Empty, CompleteCommit, CompleteAbort] {
            assert_eq!(init(Some(of(status)), None), begins(next, false), "{status:?}");
        }
        assert_eq!(init(Some(of(Ongoing)), None), InitStep::Abort(next));
        for status in [PrepareCommit, PrepareAbort] {
            assert_eq!(init(Some(of(status)), None), InitStep::Wait);
        }
    }
}

#[test]
fn a_producer_that_goes_on_may_ask_again_for_what_it_got() {
    let next = Next::Pair(pair(EPOCH + 1));
    for status in [Empty, CompleteCommit, CompleteAbort] {
        assert_eq!(init(Some(at(status)), Some(pair(EPOCH))), begins(next, true), "{status:?}");
        assert_eq!(init(Some(renewed(status)), Some(pair(EPOCH - 1))), InitStep::Answer(pair(EPOCH)));
    }
    assert_eq!(init(Some(at(Ongoing)), Some(pair(EPOCH))), InitStep::Abort(next));
    // It has begun a transaction with what it got: a request that was late on its way aborts nothing.
    assert_eq!(init(Some(renewed(Ongoing)), Some(pair(EPOCH - 1))), InitStep::Answer(pair(EPOCH)));
    for status in [PrepareCommit, PrepareAbort] {
        assert_eq!(init(Some(at(status)), Some(pair(EPOCH))), InitStep::Wait);
        assert_eq!(init(Some(raised(status)), Some(pair(EPOCH - 1))), InitStep::Wait);
    }
}

#[test]
fn a_fenced_producer_changes_nothing_in_any_state() {
    let fenced = InitStep::Refuse(TransactionError::ProducerFenced);
    for standing in every_standing() {
        for identity in every_identity() {
            if identity != standing.current && Some(identity) != standing.previous {
                assert_eq!(init(Some(standing), Some(identity)), fenced, "{identity:?} {standing:?}");
            }
        }
    }
    // In particular the one that another process has just replaced.
    for status in ALL {
        assert_eq!(init(Some(at(status)), Some(pair(EPOCH - 1))), fenced);
    }
}

#[test]
fn used_up_epochs_bring_a_new_producer_id() {
    let last = |status| Standing { current: pair(EPOCH_MAX), ..at(status) };
    assert_eq!(init(Some(last(Empty)), None), begins(Next::NewProducerId, false));
    assert_eq!(init(Some(last(CompleteCommit)), Some(pair(EPOCH_MAX))), begins(Next::NewProducerId, true));
    assert_eq!(init(Some(last(Ongoing)), None), InitStep::Abort(Next::NewProducerId));
    // The answer was lost.
    let again = Some(Identity::new(OTHER_PRODUCER, EPOCH_MAX));
    assert_eq!(init(Some(rotated(Empty)), again), InitStep::Answer(pair(0)));
}

#[test]
fn nobody_is_given_the_epoch_of_another_producer_and_nothing_is_done_twice_while_a_decision_stands() {
    for standing in every_standing() {
        let requests = every_identity().into_iter().map(Some).chain([None]);
        for expected in requests {
            let step = init(Some(standing), expected);
            match step {
                InitStep::Answer(identity) => {
                    assert_eq!(identity, standing.current);
                    assert!(expected.is_some() && expected == standing.previous, "{expected:?} {standing:?}");
                }
                InitStep::Begin { next, .. } | InitStep::Abort(next) => {
                    assert_eq!(next, standing.current.raised());
                    assert!(!is_decided(standing.status));
                    assert_eq!(matches!(step, InitStep::Abort(_)), standing.status == Ongoing);
                }
                InitStep::Wait => assert!(is_decided(standing.status)),
                InitStep::Refuse(_) => assert!(expected.is_some()),
            }
        }
    }
}
