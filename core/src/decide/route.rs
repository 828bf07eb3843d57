//! Which event source a public request belongs to: the most specific enabled http event source.
//!
//! Exact hostname before `*.` wildcard before no hostname; then the longer path prefix; then, among
//! wildcards, the longer one, and last the name. A prefix matches at a segment's end: `/a` matches `/a`,
//! `/a/` and `/a/b`, not `/ab`; one that ends in `/` matches as written. The query is no part of it.
//!
//! A lookup allocates nothing (IPv6 literals apart, which are brought to one form) and costs a hash of
//! the host and of a few beginnings of the path, however many routes there are.

mod hash;
mod host;
mod prefixes;

use super::Decided;
use crate::{
    event_source::{Hostname, HttpSource},
    names::EventSourceName,
};
use hash::TextMap;
use host::Host;
use prefixes::Prefixes;

/// An enabled http event source and what its requests are led to.
#[derive(Clone, Debug)]
pub struct Route<T> {
    pub name: EventSourceName,
    pub http: HttpSource,
    pub target: T,
}

/// All routes of a configuration, ready for lookups.
#[derive(Debug)]
pub struct RouteTable<T> {
    routes: Vec<Route<T>>,
    exact: TextMap<Prefixes>,
    /// By what follows the `*`: `.example.com`.
    wildcard: TextMap<Prefixes>,
    any: Prefixes,
}

/// Where a request goes.
#[derive(Debug)]
pub struct Found<'a, T> {
    pub route: &'a Route<T>,
    /// Bytes to remove from the front of the path; if nothing remains, the path is `/`.
    pub strip: usize,
}

// === impl Route ===

impl<T> Route<T> {
    fn prefix(&self) -> &str {
        self.http.path_prefix.as_deref().unwrap_or("")
    }

    fn strip(&self) -> usize {
        if !self.http.strip_prefix {
            return 0;
        }
        // What remains has to begin with a slash.
        let prefix = self.prefix();
        prefix.strip_suffix('/').unwrap_or(prefix).len()
    }

    fn describe(&self) -> String {
        let host = match &self.http.hostname {
            Some(Hostname::Exact(name)) => format!("hostname {name}"),
            Some(Hostname::Wildcard(rest)) => format!("hostname *{rest}"),
            None => "any hostname".to_owned(),
        };
        match &self.http.path_prefix {
            Some(prefix) => format!("{}: {host}, path prefix {prefix}", self.name),
            None => format!("{}: {host}, any path", self.name),
        }
    }
}

// === impl RouteTable ===

impl<T> Default for RouteTable<T> {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl<T> RouteTable<T> {
    /// Routes may come in any order.
    pub fn new(mut routes: Vec<Route<T>>) -> Self {
        // Of two with the same hostname and prefix the first by name is the one that counts.
        routes.sort_by(|a, b| a.name.cmp(&b.name));
        let mut exact: TextMap<Vec<(&str, u32)>> = TextMap::default();
        let mut wildcard: TextMap<Vec<(&str, u32)>> = TextMap::default();
        let mut any = Vec::new();
        for (index, route) in (0_u32..).zip(&routes) {
            let entry = (route.prefix(), index);
            match &route.http.hostname {
                Some(Hostname::Exact(name)) => exact.entry(host::canonical(name)).or_default().push(entry),
                Some(Hostname::Wildcard(rest)) => {
                    wildcard.entry(host::canonical(rest)).or_default().push(entry);
                }
                None => any.push(entry),
            }
        }
        let build = |hosts: TextMap<Vec<(&str, u32)>>| {
            hosts.into_iter().map(|(host, entries)| (host, Prefixes::new(&entries))).collect()
        };
        let (exact, wildcard, any) = (build(exact), build(wildcard), Prefixes::new(&any));
        Self { routes, exact, wildcard, any }
    }

    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    pub fn routes(&self) -> &[Route<T>] {
        &self.routes
    }

    /// `host` as in the request (`Host` header or authority: case, port and a last dot don't matter),
    /// `path` as in the request, with or without the query.
    #[inline]
    pub fn find(&self, host: &str, path: &str) -> Option<Found<'_, T>> {
        let path = without_query(path);
        let index = Host::of(host).and_then(|host| self.by_host(host.as_str(), path));
        let route = &self.routes[index.or_else(|| self.any.longest(path))? as usize];
        Some(Found { route, strip: route.strip() })
    }

    fn by_host(&self, host: &str, path: &str) -> Option<u32> {
        let exact = self.exact.get(host).and_then(|prefixes| prefixes.longest(path));
        exact.or_else(|| self.by_wildcard(host, path))
    }

    /// Longer wildcards come first, so that a shorter one wins only with a longer prefix.
    fn by_wildcard(&self, host: &str, path: &str) -> Option<u32> {
        if self.wildcard.is_empty() {
            return None;
        }
        let mut best: Option<u32> = None;
        for (dot, _) in host.match_indices('.') {
            // `*` stands for something.
            let found = if dot == 0 { None } else { self.wildcard.get(&host[dot..]) };
            if let Some(index) = found.and_then(|prefixes| prefixes.longest(path))
                && best.is_none_or(|best| self.prefix_len(index) > self.prefix_len(best))
            {
                best = Some(index);
            }
        }
        best
    }

    fn prefix_len(&self, index: u32) -> usize {
        self.routes[index as usize].prefix().len()
    }

    /// The same answer as [`RouteTable::find`], with the reasons for people.
    pub fn explain(&self, host: &str, path: &str) -> Decided<Option<EventSourceName>> {
        let seen = Host::of(host);
        let shown = seen.as_ref().map_or(host, Host::as_str);
        let path = without_query(path);
        let Some(found) = self.find(host, path) else {
            let reason = format!(
                "none of {} enabled http event sources has a hostname and path prefix that match host '{shown}' and path '{path}'",
                self.routes.len()
            );
            return Decided { value: None, reasons: vec![reason] };
        };
        let mut reasons = vec![format!("host '{shown}' and path '{path}' match {}", found.route.describe())];
        let others = self.routes.iter().filter(|route| route.name != found.route.name);
        for other in others.filter(|route| matches(route, shown, path)) {
            reasons.push(format!("it is more specific than {}", other.describe()));
        }
        if found.strip > 0 {
            reasons.push(format!("stripprefix removes {} bytes from the path", found.strip));
        }
        Decided { value: Some(found.route.name.clone()), reasons }
    }
}

fn without_query(path: &str) -> &str {
    path.split_once('?').map_or(path, |(path, _)| path)
}

fn matches<T>(route: &Route<T>, host: &str, path: &str) -> bool {
    let host_matches = match &route.http.hostname {
        Some(Hostname::Exact(name)) => *host::canonical(name) == *host,
        Some(Hostname::Wildcard(rest)) => host.len() > rest.len() && host.ends_with(rest.as_str()),
        None => true,
    };
    host_matches && prefixes::matches(route.prefix(), path)
}

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;
