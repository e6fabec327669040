//! Consumer instances of the HTTP API: groups, positions, commits, and that nothing is passed over when something fails.

use std::time::Duration;

use alluvium_infra::store::{Fault, FaultRule, StoreOperation};
use axum::http::Method;
use serde_json::{Value, json};

use crate::harness::Node;
use crate::rest::{Answer, Api};

/// Values that an instance reads, until there are so many.
async fn consume(api: &Api, consumer: &str, count: usize) -> Vec<String> {
    let mut values = Vec::new();
    for _ in 0..30 {
        let answer = api.get(&format!("{consumer}/records?timeout=500")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        values.extend(
            answer.json().as_array().unwrap().iter().map(|record| record["value"].as_str().unwrap().to_owned()),
        );
        if values.len() >= count {
            break;
        }
    }
    values
}

#[tokio::test]
async fn consumer_instances_share_a_group_and_commit() {
    let node = Node::start_with(|settings| settings.group_consumer_heartbeat_interval_ms = 100).await;
    let api = Api::of(&node);
    assert_eq!(
        api.post("/v3/clusters/{c}/topics", &json!({ "topic_name": "t", "partitions_count": 2 })).await.status,
        201
    );
    let records: Vec<Value> =
        (0..10).map(|number| json!({ "value": number.to_string(), "partition": number % 2 })).collect();
    assert_eq!(api.produce("t", "string", &json!({ "records": records })).await.status, 200);
    let wanted = json!({ "name": "one", "format": "string", "auto.offset.reset": "earliest" });
    let created = api.post("/consumers/g", &wanted).await.json();
    assert_eq!(created, json!({ "instance_id": "one", "base_uri": "/consumers/g/instances/one" }));
    assert_eq!(api.post("/consumers/g", &wanted).await.error_code(), 40902);
    let one = "/consumers/g/instances/one";
    assert_eq!(api.get(&format!("{one}/records")).await.error_code(), 40904);
    assert_eq!(api.post(&format!("{one}/subscription"), &json!({ "topics": ["t"] })).await.status, 204);
    assert_eq!(api.get(&format!("{one}/subscription")).await.json(), json!({ "topics": ["t"] }));
    let mut values = consume(&api, one, 10).await;
    values.sort();
    assert_eq!(values, (0..10).map(|number| number.to_string()).collect::<Vec<_>>());
    assert_eq!(api.send(Method::POST, &format!("{one}/offsets"), &[], "").await.status, 204);
    let committed = api.get(&format!("{one}/offsets")).await.json();
    assert_eq!(
        committed["offsets"].as_array().unwrap().iter().map(|one| one["offset"].as_i64().unwrap()).sum::<i64>(),
        10
    );

    // A second one gets a half, and begins where the first has committed.
    assert_eq!(api.post("/consumers/g", &json!({ "name": "two", "format": "string" })).await.status, 200);
    let two = "/consumers/g/instances/two";
    assert_eq!(api.post(&format!("{two}/subscription"), &json!({ "topic_pattern": "t.*" })).await.status, 204);
    let halves = async {
        loop {
            let count = |answer: Answer| answer.json()["partitions"].as_array().unwrap().len();
            let (first, second) =
                (api.get(&format!("{one}/assignments")).await, api.get(&format!("{two}/assignments")).await);
            if (count(first), count(second)) == (1, 1) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), halves).await.expect("each has one");
    let more: Vec<Value> =
        (0..2).map(|number| json!({ "value": format!("more-{number}"), "partition": number })).collect();
    assert_eq!(api.produce("t", "string", &json!({ "records": more })).await.status, 200);
    let (first, second) = tokio::join!(consume(&api, one, 1), consume(&api, two, 1));
    let mut both = [first, second].concat();
    both.sort();
    assert_eq!(both, ["more-0", "more-1"]);
    for instance in [one, two] {
        assert_eq!(api.send(Method::DELETE, instance, &[], "").await.status, 204);
    }
    assert_eq!(api.get(&format!("{one}/records")).await.error_code(), 40403);
    assert_eq!(api.get("/v3/clusters/{c}/consumer-groups/g").await.json()["state"], "EMPTY");
}

#[tokio::test]
async fn a_consumer_instance_is_assigned_by_hand_and_seeks() {
    let node = Node::start().await;
    let api = Api::of(&node);
    assert_eq!(
        api.produce("t", "string", &json!({ "records": [{ "value": "a" }, { "value": "b" }] })).await.status,
        200
    );
    assert_eq!(api.post("/consumers/g", &json!({ "name": "one", "format": "string" })).await.status, 200);
    let one = "/consumers/g/instances/one";
    let place = json!({ "partitions": [{ "topic": "t", "partition": 0 }] });
    assert_eq!(
        api.post(&format!("{one}/assignments"), &json!({ "partitions": [{ "topic": "t", "partition": 5 }] }))
            .await
            .error_code(),
        40402
    );
    assert_eq!(api.post(&format!("{one}/assignments"), &place).await.status, 204);
    assert_eq!(api.get(&format!("{one}/assignments")).await.json(), place);
    assert_eq!(api.post(&format!("{one}/subscription"), &json!({ "topics": ["t"] })).await.error_code(), 40904);
    assert_eq!(api.get(&format!("{one}/records?timeout=0")).await.json(), json!([]), "it begins at the end");
    assert_eq!(api.post(&format!("{one}/positions/beginning"), &place).await.status, 204);
    assert_eq!(consume(&api, one, 2).await, ["a", "b"]);
    let position = json!({ "offsets": [{ "topic": "t", "partition": 0, "offset": 1 }] });
    assert_eq!(api.post(&format!("{one}/positions"), &position).await.status, 204);
    assert_eq!(consume(&api, one, 1).await, ["b"]);
    assert_eq!(api.post(&format!("{one}/positions/end"), &place).await.status, 204);
    assert_eq!(api.get(&format!("{one}/records?timeout=0")).await.json(), json!([]));
    assert_eq!(api.post(&format!("{one}/offsets"), &position).await.status, 204);
    let body = place.to_string();
    let committed = api.send(Method::GET, &format!("{one}/offsets"), &[], body).await.json();
    assert_eq!(committed["offsets"][0]["offset"], 1);
    let other = [("accept", "application/vnd.kafka.json.v2+json")];
    assert_eq!(api.send(Method::GET, &format!("{one}/records"), &other, "").await.error_code(), 40601);
    assert_eq!(api.post("/consumers/g", &json!({ "format": "avro" })).await.error_code(), 42204);
}

#[tokio::test]
async fn a_consumer_instance_lives_where_its_group_is_coordinated() {
    let nodes = Node::start_cluster(2).await;
    let apis: Vec<Api> = nodes.iter().map(|(node, _)| Api::of(node)).collect();
    let produced = apis[0].produce("t", "string", &json!({ "records": [{ "value": "a" }] })).await;
    assert_eq!(produced.status, 200, "{produced:?}");
    let subscription = json!({ "topics": ["t"] });
    let subscribed = async {
        loop {
            let mut statuses = Vec::new();
            for (number, api) in apis.iter().enumerate() {
                let one = format!("/consumers/g/instances/{number}");
                let made = api.post("/consumers/g", &json!({ "name": number.to_string() })).await;
                assert!([200, 409].contains(&made.status), "{made:?}");
                statuses.push(api.post(&format!("{one}/subscription"), &subscription).await);
            }
            statuses.sort_by_key(|answer| answer.status);
            // Until both agree who leads.
            if statuses.iter().map(|answer| answer.status).eq([204, 421]) {
                break statuses.pop().unwrap();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let elsewhere = tokio::time::timeout(Duration::from_secs(30), subscribed).await.expect("one leads");
    assert_eq!(elsewhere.error_code(), 42101);
    let commit = json!({ "offsets": [{ "topic_name": "t", "partition_id": 0, "offset": 1 }] });
    for api in &apis {
        assert_eq!(api.post("/v3/clusters/{c}/consumer-groups/h/offsets", &commit).await.status, 200);
        let read = api.get("/v3/clusters/{c}/consumer-groups/h/offsets").await.json();
        assert_eq!(read["data"][0]["offset"], 1);
    }
    for (_, cluster) in nodes {
        cluster.close().await;
    }
}

const ONE: &str = "/consumers/g/instances/one";

/// A topic of two partitions with these records, and an instance that owns both from the beginning on.
async fn instance_on(api: &Api, format: &str, records: &Value) {
    let topic = json!({ "topic_name": "t", "partitions_count": 2 });
    assert_eq!(api.post("/v3/clusters/{c}/topics", &topic).await.status, 201);
    assert_eq!(api.produce("t", "string", &json!({ "records": records })).await.status, 200);
    let wanted = json!({
        "name": "one", "format": format, "auto.offset.reset": "earliest", "auto.commit.enable": "true"
    });
    assert_eq!(api.post("/consumers/g", &wanted).await.status, 200);
    let both = [json!({ "topic": "t", "partition": 0 }), json!({ "topic": "t", "partition": 1 })];
    assert_eq!(api.post(&format!("{ONE}/assignments"), &json!({ "partitions": both })).await.status, 204);
}

async fn read(api: &Api) -> Answer {
    api.get(&format!("{ONE}/records?timeout=0")).await
}

/// Partitions, offsets and values of an answer.
fn given(answer: &Answer) -> Vec<(i64, i64, Value)> {
    let number = |record: &Value, name: &str| record[name].as_i64().unwrap();
    let json = answer.json();
    let records = json.as_array().unwrap_or_else(|| panic!("{answer:?}"));
    records
        .iter()
        .map(|record| (number(record, "partition"), number(record, "offset"), record["value"].clone()))
        .collect()
}

/// What the group has committed, by partition.
async fn committed(api: &Api) -> Vec<(i64, i64)> {
    let offsets = api.get("/v3/clusters/{c}/consumer-groups/g/offsets").await.json();
    let number = |offset: &Value, name: &str| offset[name].as_i64().unwrap();
    let offsets = offsets["data"].as_array().unwrap().clone();
    offsets.iter().map(|offset| (number(offset, "partition_id"), number(offset, "offset"))).collect()
}

async fn seek(api: &Api, partition: i32, offset: i64) {
    let position = json!({ "offsets": [{ "topic": "t", "partition": partition, "offset": offset }] });
    assert_eq!(api.post(&format!("{ONE}/positions"), &position).await.status, 204);
}

#[tokio::test]
async fn a_record_that_cannot_be_shown_is_named_and_nothing_is_passed_over() {
    let node = Node::start().await;
    let api = Api::of(&node);
    let records = json!([
        { "value": "1", "partition": 0 }, { "value": "{", "partition": 0 }, { "value": "3", "partition": 0 },
        { "value": "4", "partition": 1 }
    ]);
    instance_on(&api, "json", &records).await;
    assert_eq!(given(&read(&api).await), [(0, 0, json!(1)), (1, 0, json!(4))]);
    for _ in 0..2 {
        let refused = read(&api).await;
        assert_eq!(refused.error_code(), 42206);
        assert!(refused.text.contains("offset 1 of t-0"), "{refused:?}");
    }
    assert_eq!(committed(&api).await, [(0, 1), (1, 1)]);
    seek(&api, 0, 2).await;
    assert_eq!(given(&read(&api).await), [(0, 2, json!(3))]);
    assert_eq!(api.send(Method::DELETE, ONE, &[], "").await.status, 204);
    assert_eq!(committed(&api).await, [(0, 3), (1, 1)], "one that ends commits what it has given");
}

#[tokio::test]
async fn a_partition_that_cannot_be_read_keeps_the_others_where_they_are() {
    let node = Node::start().await;
    let api = Api::of(&node);
    let records = json!([{ "value": "a", "partition": 0 }, { "value": "b", "partition": 1 }]);
    instance_on(&api, "string", &records).await;
    assert_eq!(api.send(Method::DELETE, ONE, &[], "").await.status, 204);
    let wanted = json!({ "name": "one", "format": "string", "auto.offset.reset": "none" });
    assert_eq!(api.post("/consumers/g", &wanted).await.status, 200);
    let both = [json!({ "topic": "t", "partition": 0 }), json!({ "topic": "t", "partition": 1 })];
    assert_eq!(api.post(&format!("{ONE}/assignments"), &json!({ "partitions": both })).await.status, 204);
    seek(&api, 0, 0).await;
    seek(&api, 1, 9).await;
    for _ in 0..2 {
        assert_eq!(read(&api).await.error_code(), 41601);
    }
    seek(&api, 1, 0).await;
    assert_eq!(given(&read(&api).await), [(0, 0, json!("a")), (1, 0, json!("b"))]);
}

#[tokio::test]
async fn offsets_that_cannot_be_committed_keep_the_instance_where_it_is() {
    let (node, faulty) = Node::start_on_faulty_store().await;
    let mut api = Api::of(&node);
    instance_on(&api, "string", &json!([{ "value": "a", "partition": 0 }])).await;
    assert_eq!(given(&read(&api).await), [(0, 0, json!("a"))]);
    assert_eq!(committed(&api).await, [], "the next read says that this one has arrived");
    let more = json!({ "records": [{ "value": "b", "partition": 0 }] });
    assert_eq!(api.produce("t", "string", &more).await.status, 200);
    faulty.script(FaultRule::always(StoreOperation::PutIfAbsent, "", Fault::Unavailable503));
    api.patience = Some(Duration::from_millis(500));
    let refused = read(&api).await;
    assert!([50303, 50402].contains(&refused.error_code()), "{refused:?}");
    faulty.clear();
    api.patience = None;
    assert_eq!(given(&read(&api).await), [(0, 1, json!("b"))]);
    assert_eq!(committed(&api).await[0], (0, 1));
}
