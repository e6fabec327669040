//! `cargo xtask tidy`: the habits of the house that a machine can check.
//!
//! Exceptions stand in `xtask/tidy-exceptions.txt`, one `path: rule` a line. The list may only shrink: a line that is not
//! needed any more is an error too.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::rooms;
use crate::sources::{self, Source};

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
const EXCEPTIONS: &str = "xtask/tidy-exceptions.txt";
const BANNED_NAMES: &[&str] = &["utils", "util", "common", "manager", "helper", "helpers", "misc"];

pub(crate) fn run(root: &Path, shrink: bool) -> Result<()> {
    let mut problems = rooms::violations(root)?;
    let mut excusable = BTreeSet::new();
    for source in sources::read_all(root)? {
        problems.extend(names(&source));
        problems.extend(words(&source));
        if !source.is_test() {
            problems.extend(header(&source));
            excusable.extend(lengths(&source)?);
        }
    }
    let listed = read_exceptions(root)?;
    problems.extend(excusable.difference(&listed).cloned());
    let stale: Vec<&String> = listed.difference(&excusable).collect();
    if shrink && !stale.is_empty() {
        write_exceptions(root, &listed.intersection(&excusable).collect::<Vec<_>>())?;
        println!("{} exceptions removed", stale.len());
    } else {
        problems.extend(stale.iter().map(|line| format!("{EXCEPTIONS}: no longer needed: {line}")));
    }
    if problems.is_empty() {
        println!("tidy: ok, {} exceptions", excusable.len());
        return Ok(());
    }
    for problem in &problems {
        eprintln!("{problem}");
    }
    bail!("tidy found {} problems", problems.len())
}

/// A file says first what it is for.
fn header(source: &Source) -> Option<String> {
    let first = source.text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    (!first.starts_with("//!")).then(|| format!("{}: does not open with its contract (//!)", source.path))
}

fn names(source: &Source) -> Option<String> {
    let stem = Path::new(&source.path).file_stem()?.to_str()?;
    let banned = BANNED_NAMES.contains(&stem) || stem.ends_with("_v2");
    banned.then(|| format!("{}: a file is not called {stem}: name what lives there", source.path))
}

/// Words that stand for unfinished work, and `allow` without its reason.
fn words(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    // Spelled apart so that this file does not find itself.
    let unfinished = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:")];
    for (number, line) in source.text.lines().enumerate() {
        let at = format!("{}:{}", source.path, number + 1);
        if let Some(word) = unfinished.iter().find(|word| line.contains(**word)) {
            found.push(format!("{at}: {word} is unfinished work: do it, or say what is missing in the header"));
        }
    }
    let mut rest = source.text.as_str();
    let mut line = 1;
    let marker = concat!("[al", "low(");
    while let Some(start) = rest.find(marker) {
        line += rest[..start].matches('\n').count();
        rest = &rest[start..];
        let end = rest.find(")]").map_or(rest.len(), |end| end + 2);
        let attribute = &rest[..end];
        if !attribute.contains("reason") {
            found.push(format!("{}:{line}: allow without a reason", source.path));
        }
        line += attribute.matches('\n').count();
        rest = &rest[end..];
    }
    found
}

/// Files and functions that are too long, in the words of the exceptions list.
fn lengths(source: &Source) -> Result<Vec<String>> {
    let file = syn::parse_file(&source.text).with_context(|| format!("parsing {}", source.path))?;
    let mut functions = Functions { path: &source.path, found: Vec::new(), test_lines: 0 };
    functions.visit_file(&file);
    let mut found = functions.found;
    // Tests at the end of a file do not count.
    let lines = source.text.lines().count().saturating_sub(functions.test_lines);
    if lines > FILE_LINES_MAX {
        found.push(format!("{}: file is longer than {FILE_LINES_MAX} lines", source.path));
    }
    Ok(found)
}

struct Functions<'a> {
    path: &'a str,
    found: Vec<String>,
    test_lines: usize,
}

impl Functions<'_> {
    fn check(&mut self, name: &syn::Ident, block: &syn::Block) {
        let span = block.span();
        let lines = span.end().line.saturating_sub(span.start().line) + 1;
        if lines > FUNCTION_LINES_MAX {
            self.found.push(format!("{}: fn {name} is longer than {FUNCTION_LINES_MAX} lines", self.path));
        }
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        let is_tests = module.attrs.iter().any(|attribute| {
            attribute.path().is_ident("cfg")
                && attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string().contains("test"))
        });
        if is_tests {
            let span = module.span();
            self.test_lines += span.end().line.saturating_sub(span.start().line) + 1;
        } else {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.check(&function.sig.ident, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.check(&function.sig.ident, &function.block);
        visit::visit_impl_item_fn(self, function);
    }
}

fn read_exceptions(root: &Path) -> Result<BTreeSet<String>> {
    let path = root.join(EXCEPTIONS);
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    Ok(text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect())
}

fn write_exceptions(root: &Path, lines: &[&String]) -> Result<()> {
    let path = root.join(EXCEPTIONS);
    let mut text = String::from("# What tidy lets pass. This list may only shrink.\n");
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
    fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
}
