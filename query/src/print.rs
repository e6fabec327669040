//! Rows as text: a table for people, JSON and CSV for programs.
//!
//! - All forms are written as rows come; nothing is held but the rows that decide how wide a table's columns are.
//! - Bytes that are UTF-8 are shown as text. Others are `\x` and hexadecimal digits in tables and CSV, `{"base64": "..."}` in JSON.
//! - Times are RFC 3339. JSON has a document for each row, a line each; whole numbers with all their digits.
//! - CSV is RFC 4180 with a line of names; null is empty, an empty text is `""`.
//! - In tables null is empty, too, and control characters are escaped, so that a row is a line.
//!
//! Invariant: nothing is cut off or left out, in any form.

mod cells;

use std::io::{self, Write};

use datafusion::arrow::array::RecordBatch;

use crate::{Answer, QueryError};

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputForm {
    /// Columns side by side.
    Table,
    /// A JSON document a line.
    Json,
    /// Comma-separated values.
    Csv,
}

/// Why rows were not all written.
#[derive(Debug, thiserror::Error)]
pub enum PrintError {
    /// The query cannot go on.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// Nobody takes the output.
    #[error(transparent)]
    Output(#[from] io::Error),
}

/// Rows that decide how wide the columns of a table are.
const ROWS_MEASURED: usize = 1000;
/// No column is made wider than this for the sake of a long value.
const WIDTH_MAX: usize = 60;
/// Between columns.
const GAP: &str = "  ";

/// Writes all rows of an answer; gives their number.
///
/// # Errors
/// When the query fails or the output is closed. What was written until then stays.
pub async fn print(mut answer: Answer, form: OutputForm, out: &mut (dyn Write + Send)) -> Result<u64, PrintError> {
    let mut written = 0;
    let schema = answer.schema();
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let mut table = Columns::new(&names, schema.fields().iter().map(|field| field.data_type().is_numeric()));
    if form == OutputForm::Csv {
        write!(out, "{}\r\n", names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(","))?;
    }
    while let Some(rows) = answer.next().await? {
        written += rows.num_rows() as u64;
        match form {
            OutputForm::Table => table.add(&rows, out)?,
            OutputForm::Json => write_json(&rows, out)?,
            OutputForm::Csv => write_csv(&rows, out)?,
        }
        out.flush()?;
    }
    if form == OutputForm::Table {
        table.flush(out)?;
    }
    out.flush()?;
    Ok(written)
}

fn write_json(rows: &RecordBatch, out: &mut dyn Write) -> io::Result<()> {
    let schema = rows.schema();
    for row in 0..rows.num_rows() {
        // Written by hand: two columns may have one name, and the order is that of the query.
        out.write_all(b"{")?;
        for (index, (field, column)) in schema.fields().iter().zip(rows.columns()).enumerate() {
            let separator = if index == 0 { "" } else { "," };
            let name = serde_json::Value::from(field.name().as_str());
            write!(out, "{separator}{name}:{}", cells::json(column, row))?;
        }
        out.write_all(b"}\n")?;
    }
    Ok(())
}

fn write_csv(rows: &RecordBatch, out: &mut dyn Write) -> io::Result<()> {
    for row in 0..rows.num_rows() {
        for (index, column) in rows.columns().iter().enumerate() {
            if index > 0 {
                out.write_all(b",")?;
            }
            if let Some(text) = cells::text(column, row) {
                out.write_all(quoted(&text).as_bytes())?;
            }
        }
        out.write_all(b"\r\n")?;
    }
    Ok(())
}

/// A value for CSV.
fn quoted(text: &str) -> String {
    if text.is_empty() || text.contains([',', '"', '\n', '\r']) || text.starts_with(' ') || text.ends_with(' ') {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// Columns of a table. The first rows are held until the widths are known.
struct Columns {
    widths: Vec<usize>,
    to_the_right: Vec<bool>,
    held: Vec<Vec<String>>,
    is_begun: bool,
}

impl Columns {
    fn new(names: &[&str], numeric: impl Iterator<Item = bool>) -> Columns {
        let header: Vec<String> = names.iter().map(|name| escaped(name)).collect();
        Columns { widths: vec![0; names.len()], to_the_right: numeric.collect(), held: vec![header], is_begun: false }
    }

    fn add(&mut self, rows: &RecordBatch, out: &mut dyn Write) -> io::Result<()> {
        for row in 0..rows.num_rows() {
            let cells = rows.columns().iter().map(|column| escaped(&cells::text(column, row).unwrap_or_default()));
            let cells: Vec<String> = cells.collect();
            if self.is_begun {
                self.write(&cells, out)?;
                continue;
            }
            self.held.push(cells);
            if self.held.len() > ROWS_MEASURED {
                self.flush(out)?;
            }
        }
        Ok(())
    }

    /// Writes what is held, with widths to fit.
    fn flush(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.is_begun {
            return Ok(());
        }
        self.is_begun = true;
        let held = std::mem::take(&mut self.held);
        for cells in &held {
            for (width, cell) in self.widths.iter_mut().zip(cells) {
                *width = (*width).max(cell.chars().count().min(WIDTH_MAX));
            }
        }
        held.iter().try_for_each(|cells| self.write(cells, out))
    }

    fn write(&self, cells: &[String], out: &mut dyn Write) -> io::Result<()> {
        let mut line = String::new();
        for ((cell, width), to_the_right) in cells.iter().zip(&self.widths).zip(&self.to_the_right) {
            let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
            let (before, behind) = if *to_the_right { (padding.as_str(), "") } else { ("", padding.as_str()) };
            line.extend([before, cell.as_str(), behind, GAP]);
        }
        writeln!(out, "{}", line.trim_end())
    }
}

/// Text on one line.
fn escaped(text: &str) -> String {
    if !text.contains(char::is_control) {
        return text.to_owned();
    }
    text.chars().fold(String::with_capacity(text.len() + 8), |mut line, character| {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
        line
    })
}

#[cfg(test)]
mod tests;
