//! Layers, sources, refusals.

use serde::Deserialize;

use super::*;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Sample {
    store: StoreSample,
    flush_bytes: ByteSize,
    connections: u32,
    verbose: bool,
    listeners: Vec<String>,
    ports: Vec<u16>,
    labels: BTreeMap<String, String>,
    node: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct StoreSample {
    url: String,
    request_timeout: Duration,
    secret_key: Option<String>,
}

impl Default for StoreSample {
    fn default() -> StoreSample {
        StoreSample { url: "memory://".to_owned(), request_timeout: Duration::from_secs(10), secret_key: None }
    }
}

impl Default for Sample {
    fn default() -> Sample {
        Sample {
            store: StoreSample::default(),
            flush_bytes: ByteSize::from_mib(8),
            connections: 100,
            verbose: false,
            listeners: vec!["127.0.0.1:9092".to_owned()],
            ports: vec![],
            labels: BTreeMap::new(),
            node: None,
        }
    }
}

impl Settings for Sample {
    const SECRETS: &'static [&'static str] = &["store.secret_key"];

    fn validate(&self) -> Result<(), String> {
        if self.connections == 0 { Err("connections must be above 0".to_owned()) } else { Ok(()) }
    }
}

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alluvium.toml");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

fn source_of(loaded: &Loaded<Sample>, name: &str) -> (String, SettingSource) {
    let shown = loaded.shown.iter().find(|shown| shown.name == name).unwrap();
    (shown.value.clone(), shown.source.clone())
}

#[test]
fn later_layers_win_and_each_value_knows_its_source() {
    let (_folder, path) =
        file("connections = 7\nflush_bytes = \"1MiB\"\n[store]\nurl = \"s3://b/p\"\nrequest_timeout = \"3s\"\n");
    let loaded: Loaded<Sample> = Layers::new()
        .file(&path)
        .environment(variables(&[
            ("ALLUVIUM_CONNECTIONS", "8"),
            ("ALLUVIUM_STORE_REQUEST_TIMEOUT", "250ms"),
            ("ALLUVIUM_STORE_SECRET_KEY", "hunter2"),
            ("ALLUVIUM_LISTENERS", "a:1, b:2"),
            ("ALLUVIUM_PORTS", "1,2"),
            ("ALLUVIUM_NODE", "5"),
            ("ALLUVIUM_VERBOSE", "true"),
            ("ALLUVIUM_LOG", "debug"),
            ("ALLUVIUM_TEST_ANYTHING", "1"),
            ("ALLUVIUM_PORT_9092_TCP", "tcp://10.0.0.1:9092"),
            ("HOME", "/root"),
        ]))
        .flag("store.request_timeout", "1s")
        .flag_if_given("connections", None::<u32>)
        .load()
        .unwrap();
    let settings = &loaded.settings;
    assert_eq!(settings.connections, 8);
    assert_eq!(settings.flush_bytes, ByteSize::from_mib(1));
    assert_eq!(settings.store.url, "s3://b/p");
    assert_eq!(settings.store.request_timeout, Duration::from_secs(1));
    assert_eq!(settings.listeners, ["a:1", "b:2"]);
    assert_eq!((settings.ports.as_slice(), settings.node, settings.verbose), ([1, 2].as_slice(), Some(5), true));
    assert_eq!(source_of(&loaded, "store.request_timeout"), ("1s".to_owned(), SettingSource::Flag));
    assert_eq!(source_of(&loaded, "flush_bytes"), ("1MiB".to_owned(), SettingSource::File(path)));
    let environment = SettingSource::Environment("ALLUVIUM_STORE_SECRET_KEY".to_owned());
    assert_eq!(source_of(&loaded, "store.secret_key"), ("********".to_owned(), environment));
    assert!(!format!("{:?}", loaded.shown).contains("hunter2"));
}

#[test]
fn defaults_alone_are_enough() {
    let loaded: Loaded<Sample> = Layers::new().load().unwrap();
    assert_eq!(loaded.settings, Sample::default());
    assert!(loaded.shown.iter().all(|shown| shown.source == SettingSource::Default));
    assert_eq!(source_of(&loaded, "store.secret_key").0, "(none)");
}

#[test]
fn unknown_names_are_refused_with_the_nearest() {
    let (_folder, path) = file("[store]\nulr = \"x\"\n");
    let error = Layers::new().file(&path).load::<Sample>().unwrap_err().to_string();
    assert_eq!(error, format!("unknown setting \"store.ulr\" (file {}); did you mean \"store.url\"?", path.display()));
    let environment = variables(&[("ALLUVIUM_CONECTIONS", "1")]);
    let error = Layers::new().environment(environment).load::<Sample>().unwrap_err().to_string();
    assert_eq!(error, "unknown setting \"ALLUVIUM_CONECTIONS\" (environment); did you mean \"ALLUVIUM_CONNECTIONS\"?");
    let error = Layers::new().flag("zzzzzzzzzz", 1).load::<Sample>().unwrap_err().to_string();
    assert_eq!(error, "unknown setting \"zzzzzzzzzz\" (flag)");
    let ignored = Layers::new().environment(variables(&[("ALLUVIUM_MINE", "1")])).environment_ignoring("ALLUVIUM_MINE");
    ignored.load::<Sample>().unwrap();
}

#[test]
fn wrong_values_name_their_setting_and_source() {
    let environment = variables(&[("ALLUVIUM_FLUSH_BYTES", "plenty")]);
    let error = Layers::new().environment(environment).load::<Sample>().unwrap_err().to_string();
    assert!(
        error.starts_with(
            "the setting \"flush_bytes\" (environment ALLUVIUM_FLUSH_BYTES) is wrong: \"plenty\" is not a size"
        ),
        "{error}"
    );
    let (_folder, path) = file("connections = \"many\"");
    let error = Layers::new().file(&path).load::<Sample>().unwrap_err().to_string();
    assert!(error.starts_with("the setting \"connections\" (file "), "{error}");
    let (_folder, path) = file("[store]\nrequest_timeout = 5\n");
    let error = Layers::new().file(&path).load::<Sample>().unwrap_err().to_string();
    assert!(error.contains("a duration with its unit"), "{error}");
    let error = Layers::new().flag("connections", 0).load::<Sample>().unwrap_err().to_string();
    assert_eq!(error, "the settings do not fit together: connections must be above 0");
}

#[test]
fn broken_files_say_where() {
    let (_folder, path) = file("connections = 1\nstore = [\n");
    let error = Layers::new().file(&path).load::<Sample>().unwrap_err().to_string();
    assert!(error.contains("has a mistake: line "), "{error}");
    let error = Layers::new().file("/no/such/file").load::<Sample>().unwrap_err().to_string();
    assert!(error.starts_with("the settings file /no/such/file cannot be read"), "{error}");
}

#[test]
fn free_form_maps_take_any_name() {
    let (_folder, path) = file("[labels]\nteam = \"blue\"\nzone = \"a\"\n");
    let loaded: Loaded<Sample> = Layers::new().file(&path).load().unwrap();
    assert_eq!(loaded.settings.labels["team"], "blue");
    assert_eq!(source_of(&loaded, "labels.zone"), ("a".to_owned(), SettingSource::File(path)));
}
