use super::*;

#[test]
fn partitions_are_added_unless_they_are_there_or_the_last_transaction_is_ending() {
    for standing in [at, renewed, raised].into_iter().flat_map(|of| ALL.map(of)) {
        for contained in [false, true] {
            let expected = match standing.status {
                PrepareCommit | PrepareAbort => AddStep::Wait,
                Ongoing if contained => AddStep::Answer,
                Ongoing | Empty | CompleteCommit | CompleteAbort => AddStep::Add,
            };
            assert_eq!(add(Some(standing), pair(EPOCH), contained), expected, "{standing:?} {contained}");
        }
    }
}

#[test]
fn only_the_current_producer_takes_part() {
    let unknown = TransactionError::InvalidProducerIdMapping;
    assert_eq!(add(None, pair(EPOCH), false), AddStep::Refuse(unknown));
    assert_eq!(admit(None, pair(EPOCH)), AdmitStep::Refuse(unknown));
    for standing in every_standing() {
        for identity in every_identity().into_iter().filter(|identity| *identity != standing.current) {
            let error = match identity.producer_id == standing.current.producer_id {
                true => TransactionError::ProducerFenced,
                false => unknown,
            };
            assert_eq!(add(Some(standing), identity, true), AddStep::Refuse(error), "{identity:?} {standing:?}");
            assert_eq!(add(Some(standing), identity, false), AddStep::Refuse(error), "{identity:?} {standing:?}");
            assert_eq!(admit(Some(standing), identity), AdmitStep::Refuse(error), "{identity:?} {standing:?}");
        }
    }
}

#[test]
fn who_comes_is_let_in_while_a_transaction_is_open() {
    for status in ALL {
        let expected = match status {
            Ongoing => AdmitStep::Open,
            PrepareCommit | PrepareAbort => AdmitStep::Wait,
            Empty | CompleteCommit | CompleteAbort => AdmitStep::Closed,
        };
        assert_eq!(admit(Some(raised(status)), pair(EPOCH)), expected);
    }
}
