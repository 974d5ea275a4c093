//! nginx as a proxy: its configuration for a row. What it speaks to hosts is HTTP/1.1.

use super::super::row::Front;
use super::Job;

pub(super) fn arguments(job: &Job<'_>) -> anyhow::Result<Vec<String>> {
    let folder = job.folder.display().to_string();
    let file = job.write("nginx.conf", &configuration(job))?;
    Ok(vec!["-c".into(), file, "-p".into(), folder])
}

/// Without a master: a worker would outlive the one that is ended.
fn configuration(job: &Job<'_>) -> String {
    let (folder, listen) = (job.folder.display(), job.listen);
    let certificates = job.certificates;
    let listen = match job.setting.front {
        Front::Http2 => format!("listen {listen} http2;"),
        Front::Tls => format!(
            "listen {listen} ssl; ssl_protocols TLSv1.2 TLSv1.3; ssl_session_tickets off; ssl_certificate {}; ssl_certificate_key {};",
            certificates.server, certificates.server_key
        ),
        _ => format!("listen {listen};"),
    };
    let server = |host| format!("server {host} max_fails=50 max_conns=10000;");
    let hosts = job.hosts.iter().map(server).collect::<Vec<_>>().concat();
    format!(
        "daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;\n\
         events {{ worker_connections 20000; }}\n\
         http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 1h; client_body_temp_path {folder}; proxy_temp_path {folder};\n\
         upstream origin {{ {hosts} keepalive 1024; keepalive_requests 1000000000; }}\n\
         server {{ {listen} location / {{ proxy_pass http://origin; proxy_http_version 1.1;\n\
         proxy_set_header Connection \"\"; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }} }} }}\n"
    )
}
