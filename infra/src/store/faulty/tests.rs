//! Each fault does what its name says to the object and to the reply.

use super::*;
use crate::store::MemoryStore;

type Expected = fn(StoreError) -> bool;

const PUT: StoreOperation = StoreOperation::PutIfAbsent;

fn simulate<F: Future<Output = ()>>(scenario: impl FnOnce(Runtime, Arc<Faulty>) -> F) {
    Runtime::simulate(3, |runtime| async move {
        let store = Faulty::new(Arc::new(MemoryStore::new(runtime.clone())), runtime.clone());
        scenario(runtime, store).await;
    });
}

async fn put(store: &Faulty, key: &str) -> Result<(), StoreError> {
    store.put_if_absent(&StorePath::from(key), Payload::from(&b"12345678"[..])).await
}

async fn exists(store: &Faulty, key: &str) -> bool {
    store.inner.get(&StorePath::from(key)).await.is_ok()
}

#[test]
fn a_fault_decides_the_object_and_the_reply() {
    let unavailable = |error: StoreError| matches!(error, StoreError::Unavailable(_));
    let cases: [(Fault, bool, Expected); 9] = [
        (Fault::ReplyLost, true, unavailable),
        (Fault::Unavailable503AfterApply, true, unavailable),
        (Fault::Unavailable503, false, unavailable),
        (Fault::Denied403, false, |error| error.is_definite()),
        (Fault::Conflict409, false, |error| error == StoreError::Conflict),
        (Fault::Precondition412, false, |error| error == StoreError::AlreadyExists),
        (Fault::Throttle429, false, |error| error == StoreError::Throttled),
        (Fault::LatePut(Duration::from_secs(5)), false, |error| error == StoreError::Timeout),
        (Fault::Lost(Duration::from_secs(5)), false, |error| error == StoreError::Timeout),
    ];
    simulate(|_, store| async move {
        for (number, (fault, applied, expected)) in cases.into_iter().enumerate() {
            let key = format!("k/{number}");
            store.script(FaultRule::next(PUT, fault.clone()));
            let error = put(&store, &key).await.unwrap_err();
            assert!(expected(error.clone()), "{fault:?} gave {error:?}");
            assert_eq!(exists(&store, &key).await, applied, "{fault:?}");
        }
        assert_eq!(store.injected_count(), 9);
        put(&store, "k/none").await.unwrap();
    });
}

#[test]
fn a_late_put_appears_later_and_may_lose_its_race() {
    simulate(|runtime, store| async move {
        store.script(FaultRule::next(PUT, Fault::LatePut(Duration::from_secs(5))));
        assert_eq!(put(&store, "a").await, Err(StoreError::Timeout));
        runtime.sleep(Duration::from_secs(6)).await;
        assert!(exists(&store, "a").await);
        store.script(FaultRule::next(PUT, Fault::LatePut(Duration::from_secs(5))));
        assert_eq!(put(&store, "b").await, Err(StoreError::Timeout));
        store.put_if_absent(&StorePath::from("b"), Payload::from(&b"other"[..])).await.unwrap();
        runtime.sleep(Duration::from_secs(6)).await;
        assert_eq!(&store.get(&StorePath::from("b")).await.unwrap()[..], b"other");
    });
}

#[test]
fn rules_count_only_what_matches() {
    simulate(|_, store| async move {
        store.script(FaultRule::nth(2, PUT, "log/", Fault::Conflict409));
        put(&store, "log/1").await.unwrap();
        put(&store, "segment/1").await.unwrap();
        put(&store, "log/2").await.unwrap_err();
        put(&store, "log/2").await.unwrap();
        assert_eq!(
            store.injected(),
            [InjectedFault { operation: PUT, path: "log/2".to_owned(), fault: Fault::Conflict409 }]
        );
    });
}

#[test]
fn reads_break_off_flip_and_slow_down() {
    simulate(|runtime, store| async move {
        put(&store, "a").await.unwrap();
        let path = StorePath::from("a");
        store.script(FaultRule::next(StoreOperation::GetRange, Fault::TruncatedRead));
        let error = store.get_range(&path, 0..8).await.unwrap_err();
        assert_eq!(error, StoreError::Truncated { path: path.clone(), expected: 8, actual: 4 });
        store.script(FaultRule::next(StoreOperation::Get, Fault::FlippedBit));
        assert_eq!(&store.get(&path).await.unwrap()[..], b"12344678");
        store.script(FaultRule::next(StoreOperation::Get, Fault::Slow(Duration::from_secs(9))));
        let begun = runtime.monotonic();
        assert_eq!(&store.get(&path).await.unwrap()[..], b"12345678");
        assert_eq!(runtime.monotonic() - begun, Duration::from_secs(9));
    });
}

#[test]
fn a_store_that_is_down_does_nothing_until_it_is_back() {
    simulate(|_, store| async move {
        store.set_down(true);
        put(&store, "a").await.unwrap_err();
        store.list("", None, 10).await.unwrap_err();
        store.set_down(false);
        assert!(!exists(&store, "a").await);
        put(&store, "a").await.unwrap();
    });
}

#[test]
fn chance_is_repeatable_and_near_its_share() {
    let run = || {
        Runtime::simulate(9, |runtime| async move {
            let store = Faulty::new(Arc::new(MemoryStore::new(runtime.clone())), runtime);
            store.bad_day(0.2);
            for number in 0..500 {
                let _any = put(&store, &format!("k/{number}")).await;
            }
            store.injected()
        })
    };
    let injected = run();
    assert!((60..150).contains(&injected.len()), "{}", injected.len());
    assert_eq!(injected, run());
}
