//! Names, meanings, and what the settings become.

use std::collections::BTreeSet;

use alluvium_infra::settings::Layers;

use super::*;

fn load(pairs: &[(&str, &str)]) -> Result<NodeSettings, String> {
    let variables = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let loaded = Layers::new().environment(variables).load::<NodeSettings>();
    loaded.map(|loaded| loaded.settings).map_err(|error| error.to_string())
}

#[test]
fn every_setting_has_a_meaning_and_every_meaning_a_setting() {
    let loaded = Layers::new().load::<NodeSettings>().unwrap();
    let names: BTreeSet<&str> = loaded.shown.iter().map(|shown| shown.name.as_str()).collect();
    let named: BTreeSet<&str> = NAMED.iter().map(|setting| setting.name).collect();
    assert_eq!(names, named);
    assert_eq!(NAMED.len(), named.len(), "a name stands twice");
}

#[test]
fn the_defaults_are_those_of_the_rooms() {
    let settings = NodeSettings { store: "s3://bucket".to_owned(), ..NodeSettings::default() };
    assert_eq!(settings.server_settings().unwrap(), alluvium_server::ServerSettings::default());
    let ingest = settings.ingest_settings();
    assert_eq!(format!("{ingest:?}"), format!("{:?}", alluvium_ingest::IngestSettings::default()));
    let reader = settings.reader_settings();
    assert_eq!(format!("{reader:?}"), format!("{:?}", alluvium_reader::ReaderSettings::default()));
    let compactor = settings.compactor_settings();
    assert_eq!(format!("{compactor:?}"), format!("{:?}", alluvium_compactor::CompactorSettings::default()));
    let store = settings.store_options();
    assert_eq!(format!("{store:?}"), format!("{:?}", alluvium_infra::store::StoreOptions::default()));
    let log = alluvium_log::LogOptions { node: "node-1".to_owned(), ..alluvium_log::LogOptions::default() };
    assert_eq!(format!("{:?}", settings.log_options()), format!("{log:?}"));
}

#[test]
fn automatic_values_depend_on_the_store() {
    let local = load(&[("ALLUVIUM_STORE", "file:///data")]).unwrap();
    assert_eq!(local.flush_interval_chosen().as_millis(), 5);
    let remote = load(&[("ALLUVIUM_STORE", "model+memory://")]).unwrap();
    assert_eq!(remote.flush_interval_chosen().as_millis(), 50);
    let given = load(&[("ALLUVIUM_FLUSH_INTERVAL", "20ms"), ("ALLUVIUM_WORKER_THREADS", "3")]).unwrap();
    assert_eq!(given.flush_interval_chosen().as_millis(), 20);
    assert_eq!(given.worker_threads_chosen(), 3);
    let wrong = load(&[("ALLUVIUM_FLUSH_INTERVAL", "fast")]).unwrap_err();
    assert!(wrong.contains("auto") && wrong.contains("250ms"), "{wrong}");
}

#[test]
fn what_does_not_fit_together_is_refused() {
    for pairs in [
        [("ALLUVIUM_ADVERTISE", "a:1,b:2"), ("ALLUVIUM_NODE_ID", "1")],
        [("ALLUVIUM_ACCESS_KEY_ID", "key"), ("ALLUVIUM_NODE_ID", "1")],
        [("ALLUVIUM_INLINE_BYTES", "1MiB"), ("ALLUVIUM_FLUSH_BYTES", "512KiB")],
        [("ALLUVIUM_WORKER_THREADS", "0"), ("ALLUVIUM_NODE_ID", "1")],
        [("ALLUVIUM_DRAIN_TIMEOUT", "1h"), ("ALLUVIUM_NODE_ID", "1")],
        [("ALLUVIUM_DEFAULT_PARTITIONS", "0"), ("ALLUVIUM_NODE_ID", "1")],
    ] {
        assert!(load(&pairs).is_err(), "{pairs:?}");
    }
    let unknown = load(&[("ALLUVIUM_FLUSH_INTERVALL", "5ms")]).unwrap_err();
    assert!(unknown.contains("ALLUVIUM_FLUSH_INTERVAL"), "{unknown}");
}
