//! Properties of the assignors over arbitrary groups, and the shapes that users count on.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn topic(number: u128) -> TopicId {
    TopicId(Uuid::from_u128(number))
}

/// Member ids, and for each the topics (of these sizes) it is subscribed to.
#[derive(Clone, Debug)]
struct Case {
    sizes: Vec<i32>,
    members: Vec<(Option<String>, BTreeSet<usize>)>,
}

fn run(assignor: Assignor, case: &Case, current: &[BTreeSet<TopicPartition>]) -> Vec<BTreeSet<TopicPartition>> {
    let names: Vec<String> = (0..case.members.len()).map(|index| format!("member{index:03}")).collect();
    let subscriptions = case
        .members
        .iter()
        .map(|(_, topics)| topics.iter().map(|index| (topic(*index as u128), case.sizes[*index])).collect())
        .collect();
    let members = case
        .members
        .iter()
        .enumerate()
        .map(|(index, (instance_id, _))| Candidate {
            member_id: &names[index],
            instance_id: instance_id.as_deref(),
            subscription: index,
            current: &current[index],
        })
        .collect();
    let mut input = AssignorInput { members, subscriptions };
    share_subscriptions(&mut input);
    assignor.assign(&input)
}

/// Equal subscriptions are one, as the caller makes them.
fn share_subscriptions(input: &mut AssignorInput<'_>) {
    for index in 0..input.members.len() {
        let wanted = &input.subscriptions[input.members[index].subscription];
        if let Some(shared) = input.subscriptions.iter().position(|subscription| subscription == wanted) {
            input.members[index].subscription = shared;
        }
    }
}

fn fresh(case: &Case) -> Vec<BTreeSet<TopicPartition>> {
    vec![BTreeSet::new(); case.members.len()]
}

fn check(case: &Case, given: &[BTreeSet<TopicPartition>]) {
    assert_eq!(given.len(), case.members.len());
    let mut owned = BTreeSet::new();
    for ((_, topics), partitions) in case.members.iter().zip(given) {
        for partition in partitions {
            let index = partition.topic.0.as_u128() as usize;
            assert!(topics.contains(&index), "not subscribed");
            assert!((0..case.sizes[index]).contains(&partition.partition));
            assert!(owned.insert(*partition), "given twice");
        }
    }
    let wanted: i32 = (0..case.sizes.len())
        .filter(|index| case.members.iter().any(|(_, topics)| topics.contains(index)))
        .map(|index| case.sizes[index])
        .sum();
    assert_eq!(owned.len() as i32, wanted, "a partition is nobody's");
}

fn case() -> impl Strategy<Value = Case> {
    (prop::collection::vec(0..9i32, 1..6), prop::collection::vec((any::<bool>(), any::<u8>()), 1..9), any::<bool>())
        .prop_map(|(sizes, members, alike)| {
            let topics = |bits: u8| (0..sizes.len()).filter(|index| bits & (1 << index) != 0).collect();
            let shared = members[0].1;
            let members = members
                .into_iter()
                .enumerate()
                .map(|(index, (is_static, bits))| {
                    (is_static.then(|| format!("instance{index}")), topics(if alike { shared } else { bits }))
                })
                .collect();
            Case { sizes, members }
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn everything_is_given_once_and_a_result_stays(case in case(), uniform in any::<bool>()) {
        let assignor = if uniform { Assignor::Uniform } else { Assignor::Range };
        let given = run(assignor, &case, &fresh(&case));
        check(&case, &given);
        prop_assert_eq!(&run(assignor, &case, &given), &given);
    }

    #[test]
    fn uniform_is_balanced_and_moves_little(before in case(), after in case()) {
        let given = run(Assignor::Uniform, &before, &fresh(&before));
        let mut current = fresh(&after);
        for (old, new) in given.iter().zip(&mut current) {
            new.clone_from(old);
        }
        let result = run(Assignor::Uniform, &after, &current);
        check(&after, &result);
        for (from, owned) in result.iter().enumerate() {
            for partition in owned {
                let index = partition.topic.0.as_u128() as usize;
                for (to, (_, topics)) in after.members.iter().enumerate() {
                    prop_assert!(
                        from == to || !topics.contains(&index) || result[to].len() + 2 > owned.len(),
                        "one more move would make loads more alike"
                    );
                }
            }
        }
    }
}

fn alike(members: usize, sizes: &[i32]) -> Case {
    Case { sizes: sizes.to_vec(), members: vec![(None, (0..sizes.len()).collect()); members] }
}

fn loads(given: &[BTreeSet<TopicPartition>]) -> Vec<usize> {
    given.iter().map(BTreeSet::len).collect()
}

#[test]
fn uniform_spreads_over_all_topics_together() {
    let given = run(Assignor::Uniform, &alike(3, &[1, 1, 1]), &vec![BTreeSet::new(); 3]);
    assert_eq!(loads(&given), [1, 1, 1]);
}

#[test]
fn a_newcomer_takes_only_its_share_and_a_leaver_leaves_only_its_own() {
    let two = run(Assignor::Uniform, &alike(2, &[6]), &vec![BTreeSet::new(); 2]);
    let three = run(Assignor::Uniform, &alike(3, &[6]), &[two[0].clone(), two[1].clone(), BTreeSet::new()]);
    assert_eq!(loads(&three), [2, 2, 2]);
    assert!(three[0].is_subset(&two[0]) && three[1].is_subset(&two[1]));
    let back = run(Assignor::Uniform, &alike(2, &[6]), &three[..2]);
    assert!(three[0].is_subset(&back[0]) && three[1].is_subset(&back[1]));
    assert_eq!(loads(&back), [3, 3]);
}

#[test]
fn range_gives_neighbours_and_static_members_come_first() {
    let mut case = alike(2, &[5, 5]);
    case.members[1].0 = Some("a".to_owned());
    let given = run(Assignor::Range, &case, &fresh(&case));
    let parts = |range: std::ops::Range<i32>| -> BTreeSet<TopicPartition> {
        (0..2)
            .flat_map(|number| range.clone().map(move |partition| TopicPartition::new(topic(number), partition)))
            .collect()
    };
    assert_eq!(given, [parts(3..5), parts(0..3)]);
}

#[test]
fn names_are_kafkas() {
    assert_eq!(Assignor::by_name("uniform"), Some(Assignor::Uniform));
    assert_eq!(Assignor::by_name("range"), Some(Assignor::Range));
    assert_eq!(Assignor::by_name("sticky"), None);
}
