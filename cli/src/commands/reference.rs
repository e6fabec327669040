//! `alluvium reference`: the pages docs/reference/cli.md, settings.md and metrics.md, made from the code.

use std::fmt::Write as _;
use std::io::Write;

use alluvium_infra::settings::{Layers, environment_name};
use alluvium_server::http::metrics::definitions::SECTIONS;
use clap::CommandFactory;

use super::CommandLine;
use crate::failure::Failure;
use crate::startup::settings::{NAMED, NodeSettings};

/// Print a reference page in Markdown
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Which page
    #[arg(value_enum)]
    page: Page,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Page {
    Cli,
    Settings,
    Metrics,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let page = match arguments.page {
        Page::Cli => cli_page(),
        Page::Settings => settings_page()?,
        Page::Metrics => metrics_page(),
    };
    std::io::stdout().write_all(page.as_bytes())?;
    Ok(())
}

fn cli_page() -> String {
    let mut page = String::from(
        "# The command line\n\nMade by `alluvium reference cli`; the same text is in `alluvium --help`.\n",
    );
    let mut command = CommandLine::command().term_width(100);
    command.build();
    add_command(&mut page, &mut command, "");
    page
}

fn add_command(page: &mut String, command: &mut clap::Command, path: &str) {
    let path = match path {
        "" => command.get_name().to_owned(),
        path => format!("{path} {}", command.get_name()),
    };
    let help = command.render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    // Writing into a string cannot fail.
    let _written = write!(page, "\n## `{path}`\n\n```text\n{}\n```\n", help.join("\n").trim_end());
    for child in command.get_subcommands_mut() {
        if !child.is_hide_set() && child.get_name() != "help" {
            add_command(page, child, &path);
        }
    }
}

fn metrics_page() -> String {
    let mut page = String::from(
        "# Metrics\n\nMade by `alluvium reference metrics`. A node serves them on `/metrics` of `http_listen`, in the text format of\n\
         Prometheus; what to look at first stands in [the guide](../guides/operations.md). Times are seconds, sizes bytes.\n",
    );
    for (section, metrics) in SECTIONS {
        let _written = write!(page, "\n## {section}\n\n| Metric | Type | Labels | Meaning |\n|---|---|---|---|\n");
        for metric in *metrics {
            let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
            let (name, kind, labels, meaning) = (metric.name, metric.kind.name(), labels.join(", "), metric.meaning);
            let _written = writeln!(page, "| `{name}` | {kind} | {labels} | {meaning} |");
        }
    }
    page
}

fn settings_page() -> Result<String, Failure> {
    let defaults = Layers::new().load::<NodeSettings>().map_err(Failure::failed)?;
    let mut page = String::from(
        "# Settings\n\nMade by `alluvium reference settings`. How they are given: [the guide](../guides/settings.md).\n\n\
         | Setting | Default | Environment | Meaning |\n|---|---|---|---|\n",
    );
    for named in NAMED {
        let value = defaults.shown.iter().find(|shown| shown.name == named.name);
        let value = value.map_or_else(String::new, |shown| crate::startup::plain(&shown.value));
        let (name, variable, meaning) = (named.name, environment_name(named.name), named.meaning);
        let _written = writeln!(page, "| `{name}` | `{value}` | `{variable}` | {meaning} |");
    }
    Ok(page)
}
