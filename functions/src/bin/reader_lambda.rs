//! The `reader` function: the HTTP API's routes of that role behind a function URL or an API gateway.

use alluvium_functions::{http, run};
use alluvium_server::rest::Role;

fn main() -> anyhow::Result<()> {
    run(|settings, runtime| http::serve(Role::Reader, settings, runtime))
}
