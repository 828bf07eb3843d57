//! What the daemon is measured against: nginx and haproxy from Debian, with
//! upstream keep-alive, the same number of workers, the same backend and the same
//! headers set. Access logs are off everywhere.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::client::Client;
use crate::daemon::{Daemon, HOST, free_address};
use crate::options::Options;
use crate::proc::Process;

/// Who is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Who {
    /// With the buffers that it has by default.
    Nginx,
    /// With buffers that hold a 64 KiB body, so that nothing goes through a file.
    NginxTuned,
    Haproxy,
    Maelstromd,
}

/// One way to the backend.
#[derive(Clone, Copy)]
pub(crate) struct Subject {
    pub(crate) who: Who,
    pub(crate) address: SocketAddr,
    /// Its first process: CPU time is that of it and its descendants.
    pub(crate) process: u32,
}

pub(crate) struct Proxies {
    pub(crate) subjects: Vec<Subject>,
    _nginx: Process,
    _haproxy: Process,
}

impl Proxies {
    pub(crate) fn start(options: &Options, backend: SocketAddr, daemon: Option<&Daemon>) -> Result<Self> {
        let (plain, tuned, other) = (free_address()?, free_address()?, free_address()?);
        let nginx = start_nginx(options, backend, plain, tuned)?;
        let haproxy = start_haproxy(options, backend, other)?;
        let mut subjects = vec![
            Subject { who: Who::Nginx, address: plain, process: nginx.id() },
            Subject { who: Who::NginxTuned, address: tuned, process: nginx.id() },
            Subject { who: Who::Haproxy, address: other, process: haproxy.id() },
        ];
        if let Some(daemon) = daemon {
            subjects.push(Subject { who: Who::Maelstromd, address: daemon.public, process: daemon.id() });
        }
        for subject in &subjects {
            wait_for(subject, &options.scratch)?;
        }
        Ok(Self { subjects, _nginx: nginx, _haproxy: haproxy })
    }

    pub(crate) fn of(&self, who: Who) -> Option<Subject> {
        self.subjects.iter().copied().find(|subject| subject.who == who)
    }
}

fn wait_for(subject: &Subject, scratch: &Path) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let answer = Client::connect(subject.address).and_then(|mut client| client.get(HOST, "/bytes?n=100"));
        match answer {
            Ok(answer) if answer.status == 200 && answer.body.len() == 100 => return Ok(()),
            _ if Instant::now() < end => std::thread::sleep(Duration::from_millis(20)),
            Ok(answer) => {
                bail!("{:?} answers {}; its log is in {}", subject.who, answer.status, scratch.display())
            }
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("{:?}; its log is in {}", subject.who, scratch.display()));
            }
        }
    }
}

fn start_nginx(
    options: &Options,
    backend: SocketAddr,
    plain: SocketAddr,
    tuned: SocketAddr,
) -> Result<Process> {
    let folder = options.scratch.join("nginx");
    fs::create_dir_all(&folder)?;
    let workers = options.workers;
    // Workers of a root-started nginx become www-data, which can't enter the scratch folder.
    let user = if rustix::process::getuid().is_root() { "user root;" } else { "" };
    let server = |address: SocketAddr, buffers: &str| {
        format!(
            "server {{ listen {address} backlog=4096; keepalive_requests 100000000; {buffers}
               location / {{ proxy_pass http://backend; proxy_http_version 1.1;
                 proxy_set_header Connection \"\"; proxy_set_header Host $http_host;
                 proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
                 proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $http_host;
                 proxy_set_header X-Forwarded-Port $server_port; proxy_set_header X-Request-Id $request_id; }} }}\n"
        )
    };
    let tuned_buffers = "proxy_buffer_size 16k; proxy_buffers 16 16k; proxy_busy_buffers_size 64k; proxy_max_temp_file_size 0;";
    let configuration = format!(
        "daemon off; pid nginx.pid; worker_processes {workers}; {user}\n\
         events {{ worker_connections 8192; }}\n\
         http {{ access_log off; tcp_nodelay on;\n\
         client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n\
         upstream backend {{ server {backend}; keepalive 512; keepalive_requests 100000000; }}\n\
         {}{} }}\n",
        server(plain, ""),
        server(tuned, tuned_buffers),
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, configuration)?;
    let mut command = Command::new("nginx");
    command.arg("-p").arg(&folder).arg("-c").arg(&file).arg("-e").arg(folder.join("error.log"));
    Process::start("nginx", &mut command, &options.scratch.join("nginx.log"))
}

fn start_haproxy(options: &Options, backend: SocketAddr, address: SocketAddr) -> Result<Process> {
    let configuration = format!(
        "global\n  nbthread {}\n  maxconn 8192\n\
         defaults\n  mode http\n  timeout connect 5s\n  timeout client 310s\n  timeout server 310s\n  \
         option http-keep-alive\n  http-reuse always\n\
         frontend in\n  bind {address}\n  option forwardfor\n  \
         http-request set-header X-Forwarded-Proto http\n  http-request set-header X-Forwarded-Host %[req.hdr(host)]\n  \
         http-request set-header X-Forwarded-Port %[dst_port]\n  unique-id-format %[uuid()]\n  unique-id-header X-Request-Id\n  \
         default_backend app\n\
         backend app\n  server app {backend} maxconn 8192 pool-max-conn -1\n",
        options.workers,
    );
    let file = options.scratch.join("haproxy.cfg");
    fs::write(&file, configuration)?;
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(&file);
    Process::start("haproxy", &mut command, &options.scratch.join("haproxy.log"))
}
