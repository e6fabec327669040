//! What is told while records are written: offsets on stdout, progress and the sum on stderr.

use std::io::{BufWriter, IsTerminal, Stdout, Write};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};

use crate::client::producer::Acknowledged;
use crate::failure::Failure;

/// Tells how far the writing is.
pub(super) struct Report {
    topic: String,
    verbose: bool,
    json: bool,
    out: BufWriter<Stdout>,
    progress: Option<ProgressBar>,
    bytes_read: u64,
    records_written: u64,
}

impl Report {
    /// Progress is shown when stdin is no terminal and stderr is one.
    pub(super) fn new(topic: &str, verbose: bool, json: bool, from_stdin: bool) -> Report {
        let shown = from_stdin && !verbose && !std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        let progress = shown.then(|| {
            let style = ProgressStyle::with_template("{spinner} {msg} in {elapsed}");
            ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
        });
        Report {
            topic: topic.to_owned(),
            verbose,
            json,
            out: BufWriter::new(std::io::stdout()),
            progress,
            bytes_read: 0,
            records_written: 0,
        }
    }

    /// A line was read.
    pub(super) fn read(&mut self, bytes: usize) {
        self.bytes_read += bytes as u64;
    }

    /// A batch was written.
    pub(super) fn written(&mut self, batch: &Acknowledged) -> Result<(), Failure> {
        self.records_written += u64::try_from(batch.record_count).unwrap_or_default();
        if let Some(progress) = &self.progress {
            let (records, bytes) = (HumanCount(self.records_written), HumanBytes(self.bytes_read));
            progress.set_message(format!("{records} records, {bytes}"));
            progress.tick();
        }
        if !self.verbose && !self.json {
            return Ok(());
        }
        for index in 0..i64::from(batch.record_count) {
            let offset = (batch.base_offset >= 0).then_some(batch.base_offset + index);
            let (topic, partition) = (&self.topic, batch.partition);
            match (self.json, offset) {
                (true, _) => {
                    let line = serde_json::json!({"topic": topic, "partition": partition, "offset": offset});
                    writeln!(self.out, "{line}")?;
                }
                (false, Some(offset)) => writeln!(self.out, "{topic} partition {partition} offset {offset}")?,
                (false, None) => writeln!(self.out, "{topic} partition {partition} offset unknown")?,
            }
        }
        Ok(())
    }

    /// Lets everything that was told be seen.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.out.flush()?)
    }

    /// The sum, once everything is written or nothing more can be.
    pub(super) fn end(&self, complete: bool) {
        if let Some(progress) = &self.progress {
            progress.finish_and_clear();
        }
        if !self.json {
            let (records, word) = (self.records_written, if self.records_written == 1 { "record" } else { "records" });
            let only = if complete { "" } else { " only" };
            eprintln!("wrote{only} {records} {word} to {}", self.topic);
        }
    }
}
