//! `cargo xtask docs`: the tables of messages in docs/reference/object-layout.md, from the definitions that the log writes by.
//!
//! The page says where each table stands: `<!-- message: Entry -->` up to `<!-- /message -->`, and `<!-- operations -->` up to
//! `<!-- /operations -->`.
//!
//! Invariant: each message and each operation that can be in the bucket has exactly one place, with all its tags.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

const TARGET: &str = "docs/reference/object-layout.md";
const FOLDER: &str = "log/src/format";
/// What one of the operations is wrapped in; the table of operations says all about it.
const WRAPPER: &str = "Operation";

/// A message, or the choice between messages that an operation is.
#[derive(Debug, PartialEq)]
struct Message {
    name: String,
    meaning: String,
    is_choice: bool,
    fields: Vec<Field>,
}

#[derive(Debug, PartialEq)]
struct Field {
    tag: u32,
    name: String,
    kind: String,
    meaning: String,
}

pub(crate) fn write(root: &Path) -> Result<()> {
    let path = root.join(TARGET);
    let found = fs::read_to_string(&path).with_context(|| format!("reading {TARGET}"))?;
    fs::write(&path, renewed(&found, &read(root)?)?).with_context(|| format!("writing {TARGET}"))?;
    println!("{TARGET} written");
    Ok(())
}

pub(crate) fn check(root: &Path) -> Result<()> {
    let found = fs::read_to_string(root.join(TARGET)).with_context(|| format!("reading {TARGET}"))?;
    if found != renewed(&found, &read(root)?)? {
        bail!("{TARGET} is out of date: run cargo xtask docs");
    }
    println!("layout: ok");
    Ok(())
}

/// All messages, in the order of files and lines.
fn read(root: &Path) -> Result<Vec<Message>> {
    let folder = fs::read_dir(root.join(FOLDER)).with_context(|| format!("reading {FOLDER}"))?;
    let mut paths = folder.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    let mut messages = Vec::new();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs")) {
        let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        messages.extend(parse(&text).with_context(|| format!("in {}", path.display()))?);
    }
    messages.retain(|message| message.name != WRAPPER);
    Ok(messages)
}

/// The messages of one source file.
fn parse(text: &str) -> Result<Vec<Message>> {
    let mut messages: Vec<Message> = Vec::new();
    let (mut meaning, mut attributes, mut inside) = (String::new(), String::new(), false);
    for line in text.lines().map(str::trim) {
        if let Some(comment) = line.strip_prefix("/// ") {
            meaning += if meaning.is_empty() { "" } else { " " };
            meaning += comment;
        } else if line.starts_with("#[") || (attributes.contains("#[") && !attributes.ends_with(")]")) {
            attributes += line;
        } else if line == "}" {
            inside = false;
        } else {
            if let Some(declared) = line.strip_prefix("pub struct ").or(line.strip_prefix("pub enum "))
                && (attributes.contains("prost::Message") || attributes.contains("prost::Oneof"))
            {
                let name = declared.trim_end_matches(" {");
                messages.push(Message {
                    name: name.strip_suffix("Message").unwrap_or(name).to_owned(),
                    meaning: meaning.clone(),
                    is_choice: attributes.contains("prost::Oneof"),
                    fields: Vec::new(),
                });
                inside = true;
            } else if inside && attributes.contains("prost(") && !attributes.contains("oneof") {
                let message = messages.last_mut().context("a field stands in no message")?;
                message.fields.push(field(line, &attributes, &meaning)?);
            }
            meaning.clear();
            attributes.clear();
        }
    }
    Ok(messages)
}

/// A field by its line, such as `pub parts: Vec<PartMessage>,` or `Append(AppendMessage),`, and what stands above it.
fn field(line: &str, attributes: &str, meaning: &str) -> Result<Field> {
    let declared = line.trim_start_matches("pub ").trim_end_matches(',');
    let (name, rust) = declared.split_once(": ").or(declared.split_once('(')).context("a field has no type")?;
    let (_, tag) = attributes.split_once("tag = \"").with_context(|| format!("{name} has no tag"))?;
    let tag = tag.split('"').next().unwrap_or_default().parse().with_context(|| format!("the tag of {name}"))?;
    let (_, proto) = attributes.split_once("prost(").unwrap_or_default();
    let words: Vec<&str> = proto.split(',').map(str::trim).collect();
    let kind = match words[0].split(' ').next().unwrap_or_default() {
        "message" => {
            let inner = rust.trim_end_matches(['>', ')']).rsplit('<').next().unwrap_or_default();
            inner.strip_suffix("Message").unwrap_or(inner)
        }
        scalar => scalar,
    };
    let how_many = ["repeated", "optional"].into_iter().find(|word| words.contains(word));
    let kind = how_many.map_or_else(|| kind.to_owned(), |word| format!("{word} {kind}"));
    Ok(Field { tag, name: name.to_owned(), kind, meaning: meaning.to_owned() })
}

/// The page with its tables made anew.
fn renewed(page: &str, messages: &[Message]) -> Result<String> {
    let mut out = page.to_owned();
    for message in messages {
        let (begin, end) = match message.is_choice {
            true => ("<!-- operations -->".to_owned(), "<!-- /operations -->"),
            false => (format!("<!-- message: {} -->", message.name), "<!-- /message -->"),
        };
        let mut parts = out.split(&begin);
        let (Some(head), Some(rest), None) = (parts.next(), parts.next(), parts.next()) else {
            bail!("{TARGET} has not exactly one {begin}: describe {} there", message.name);
        };
        let (_, tail) = rest.split_once(end).with_context(|| format!("{begin} has no {end}"))?;
        out = format!("{head}{begin}\n{}{end}{tail}", shown(message)?);
    }
    let places = out.matches("<!-- message: ").count();
    let known = messages.iter().filter(|message| !message.is_choice).count();
    if places != known {
        bail!("{TARGET} has places for {places} messages, and there are {known}");
    }
    Ok(out)
}

fn shown(message: &Message) -> Result<String> {
    let mut out = String::new();
    if message.is_choice {
        out += "| tag | operation | message | what happens |\n| --- | --- | --- | --- |\n";
    } else {
        let mut letters = message.meaning.chars();
        let first: String = letters.next().into_iter().flat_map(char::to_lowercase).collect();
        write!(out, "**{}** — {first}{}\n\n", message.name, letters.as_str())?;
        out += "| tag | field | type | meaning |\n| --- | --- | --- | --- |\n";
    }
    for Field { tag, name, kind, meaning } in &message.fields {
        let name = if message.is_choice { name.clone() } else { format!("`{name}`") };
        writeln!(out, "| {tag} | {name} | {kind} | {meaning} |")?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "/// One thing\n/// of two lines.\n#[derive(Clone, prost::Message)]\npub struct ThingMessage {\n    /// Its id.\n    \
        #[prost(bytes = \"bytes\", tag = \"1\")]\n    pub id: Bytes,\n    /// Parts.\n    #[prost(message, repeated, tag = \"3\")]\n    \
        pub parts: Vec<PartMessage>,\n}\n/// One of all.\n#[derive(prost::Oneof)]\npub enum OperationKind {\n    /// It comes.\n    \
        #[prost(message, tag = \"7\")]\n    Put(ThingMessage),\n}\n/// None of ours.\npub struct Other {\n    pub id: u32,\n}\n";
    const PAGE: &str =
        "# Page\n\n<!-- operations -->\n<!-- /operations -->\n\n<!-- message: Thing -->\n<!-- /message -->\nend\n";

    #[test]
    fn messages_are_shown_with_all_their_tags() {
        let made = renewed(PAGE, &parse(SOURCE).unwrap()).unwrap();
        for wanted in [
            "| 7 | Put | Thing | It comes. |",
            "**Thing** — one thing of two lines.",
            "| 1 | `id` | bytes | Its id. |",
            "| 3 | `parts` | repeated Part | Parts. |",
        ] {
            assert!(made.contains(wanted), "{wanted}: {made}");
        }
        assert!(!made.contains("Other") && made.ends_with("<!-- /message -->\nend\n"), "{made}");
        assert_eq!(renewed(&made, &parse(SOURCE).unwrap()).unwrap(), made);
    }

    #[test]
    fn a_message_without_a_place_is_found_and_a_place_without_a_message() {
        let messages = parse(SOURCE).unwrap();
        let refused = renewed(&PAGE.replace("message: Thing", "message: Thong"), &messages).unwrap_err().to_string();
        assert!(refused.contains("describe Thing"), "{refused}");
        let more = format!("{PAGE}<!-- message: Gone -->\n<!-- /message -->\n");
        assert!(renewed(&more, &messages).unwrap_err().to_string().contains("places for 2"));
    }

    #[test]
    fn another_tag_makes_the_page_old() {
        let made = renewed(PAGE, &parse(SOURCE).unwrap()).unwrap();
        let changed = parse(&SOURCE.replace("tag = \"3\"", "tag = \"4\"")).unwrap();
        assert_ne!(renewed(&made, &changed).unwrap(), made);
    }
}
