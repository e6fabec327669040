//! A record as a line.

use std::io::{BufWriter, Stdout, Write};

use alluvium_record::{Header, Record};
use serde_json::{Value, json};

use super::Arguments;
use crate::commands::encoding::Encoding;
use crate::failure::Failure;
use crate::output::time;

/// What stands for a key or value that is none.
const NULL: &[u8] = b"NULL";

/// Prints records.
pub(super) struct Printer {
    topic: String,
    encoding: Encoding,
    json: bool,
    key_separator: Option<Vec<u8>>,
    offsets: bool,
    timestamps: bool,
    headers: bool,
    out: BufWriter<Stdout>,
}

impl Printer {
    pub(super) fn new(arguments: &Arguments) -> Printer {
        let all = arguments.verbose;
        let separator = arguments.keys.clone().or_else(|| all.then(|| "\t".to_owned()));
        Printer {
            topic: arguments.topic.clone(),
            encoding: arguments.format,
            json: arguments.json,
            key_separator: separator.map(String::into_bytes),
            offsets: arguments.offsets || all,
            timestamps: arguments.timestamps || all,
            headers: arguments.headers || all,
            out: BufWriter::with_capacity(64 * 1024, std::io::stdout()),
        }
    }

    pub(super) fn record(&mut self, partition: i32, record: &Record) -> Result<(), Failure> {
        if self.json {
            let document = self.document(partition, record);
            return Ok(writeln!(self.out, "{document}")?);
        }
        if self.offsets {
            write!(self.out, "{partition}\t{}\t", record.offset)?;
        }
        if self.timestamps {
            write!(self.out, "{}\t", time(record.timestamp))?;
        }
        if self.headers {
            let headers: Vec<Vec<u8>> = record.headers.iter().map(|header| self.header(header)).collect();
            self.out.write_all(&headers.join(&b","[..]))?;
            self.out.write_all(b"\t")?;
        }
        if let Some(separator) = &self.key_separator {
            self.out.write_all(&shown(self.encoding, record.key.as_deref()))?;
            self.out.write_all(separator)?;
        }
        match (&record.value, self.encoding) {
            (Some(value), Encoding::Text) => self.out.write_all(value)?,
            (value, encoding) => self.out.write_all(&shown(encoding, value.as_deref()))?,
        }
        Ok(self.out.write_all(b"\n")?)
    }

    fn header(&self, header: &Header) -> Vec<u8> {
        [header.name.as_ref(), b"=", &shown(self.encoding, header.value.as_deref())].concat()
    }

    fn document(&self, partition: i32, record: &Record) -> Value {
        let part = |bytes: Option<&[u8]>| bytes.map_or(Value::Null, |bytes| self.encoding.json(bytes));
        let header = |header: &Header| {
            let name = String::from_utf8_lossy(&header.name);
            json!({"name": name, "value": part(header.value.as_deref())})
        };
        json!({
            "topic": self.topic,
            "partition": partition,
            "offset": record.offset,
            "timestamp": record.timestamp,
            "key": part(record.key.as_deref()),
            "value": part(record.value.as_deref()),
            "headers": record.headers.iter().map(header).collect::<Vec<_>>(),
        })
    }

    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.out.flush()?)
    }
}

fn shown(encoding: Encoding, bytes: Option<&[u8]>) -> Vec<u8> {
    bytes.map_or_else(|| NULL.to_vec(), |bytes| encoding.encode(bytes))
}
