//! The one cryptography provider of the process: aws-lc-rs.
//!
//! rustls refuses to guess between providers, so every `main` calls [`install`] before the first connection.

/// Makes aws-lc-rs the provider for all of rustls in this process. Calling it again does nothing.
pub fn install() {
    // An error only says that a provider is installed already, which is what we want.
    let _already_installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
