//! The certificates that contenders, origins and loads show each other, and the names of many clusters.

use std::path::Path;
use std::sync::Arc;

use fuseboard_testkit::tls::{self, Authority};
use fuseboard_tls::ClientContext;
use tokio_rustls::rustls::ClientConfig;

/// Files in PEM, by their paths.
pub(super) struct Certificates {
    pub(super) authority: String,
    pub(super) server: String,
    pub(super) server_key: String,
    /// Certificate and key in one file, as HAProxy reads them.
    pub(super) server_both: String,
    pub(super) client: String,
    pub(super) client_key: String,
    pub(super) client_both: String,
    /// A client that trusts the authority.
    pub(super) trusting: Arc<ClientConfig>,
}

impl Certificates {
    pub(super) fn make(folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let file = |name: &str, text: &str| -> anyhow::Result<String> {
            let path = folder.join(name);
            std::fs::write(&path, text)?;
            Ok(path.display().to_string())
        };
        let authority = Authority::new("bench");
        let (server, client) =
            (authority.issue(&["origin", "localhost", "127.0.0.1"]), authority.issue(&["client"]));
        let trusting = ClientContext::new(&Arc::new(tls::client(&authority)), &[b"http/1.1"])?;
        Ok(Self {
            trusting: Arc::clone(trusting.config()),
            authority: file("authority.pem", authority.pem())?,
            server: file("server.pem", &server.certificate)?,
            server_key: file("server.key", &server.key)?,
            server_both: file("server-both.pem", &(server.certificate + &server.key))?,
            client: file("client.pem", &client.certificate)?,
            client_key: file("client.key", &client.key)?,
            client_both: file("client-both.pem", &(client.certificate + &client.key))?,
        })
    }
}

/// The host by which the cluster of this number is called.
pub(super) fn name_of_cluster(number: usize) -> String {
    format!("c{number}.example.com")
}
