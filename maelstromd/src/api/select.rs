//! Which entities a list shows: prefixes, owners, types, and pages.
//!
//! A page's token is the last name shown: lists are sorted by name, so a page stays right when entities
//! come and go in between.

use maelstrom_core::{
    event_source::EventSourceKind,
    rpc::RpcError,
    wire::{Component, EventSource},
};

use super::errors::invalid;

/// Entities in one answer, at most and by default.
const PAGE: usize = 1_000;

/// What a client asked for; `None` and empty ask for all.
#[derive(Clone, Debug, Default)]
pub(super) struct Selection {
    pub(super) name_prefix: String,
    pub(super) component: Option<String>,
    pub(super) project: Option<String>,
    pub(super) kind: Option<String>,
}

/// A part of a list.
#[derive(Clone, Debug)]
pub(super) struct Page {
    limit: usize,
    after: Option<String>,
}

// === impl Selection ===

impl Selection {
    pub(super) fn new(name_prefix: Option<String>) -> Self {
        Self { name_prefix: name_prefix.unwrap_or_default().to_ascii_lowercase(), ..Self::default() }
    }

    pub(super) fn project(mut self, name: Option<String>) -> Self {
        self.project = lower(name);
        self
    }

    pub(super) fn component(mut self, name: Option<String>) -> Self {
        self.component = lower(name);
        self
    }

    /// 1001 for a type that does not exist.
    pub(super) fn kind(mut self, kind: Option<String>) -> Result<Self, RpcError> {
        self.kind = lower(kind);
        match &self.kind {
            Some(kind) if !EventSourceKind::NAMES.contains(&kind.as_str()) => {
                let names = EventSourceKind::NAMES.join(", ");
                Err(invalid(
                    "eventSourceType",
                    format!("is '{}'; one of {names} is allowed", kind.escape_debug()),
                ))
            }
            _ => Ok(self),
        }
    }

    pub(super) fn takes_component(&self, component: &Component) -> bool {
        component.name.starts_with(&self.name_prefix)
            && wanted(&self.project, component.project_name.as_deref())
    }

    pub(super) fn takes_event_source(&self, source: &EventSource) -> bool {
        source.name.starts_with(&self.name_prefix)
            && wanted(&self.project, source.project_name.as_deref())
            && wanted(&self.component, Some(&source.component_name))
            && wanted(&self.kind, kind_of(source))
    }
}

fn lower(name: Option<String>) -> Option<String> {
    name.filter(|name| !name.is_empty()).map(|name| name.to_ascii_lowercase())
}

fn wanted(asked: &Option<String>, found: Option<&str>) -> bool {
    asked.as_deref().is_none_or(|asked| found == Some(asked))
}

fn kind_of(source: &EventSource) -> Option<&'static str> {
    let kinds =
        [source.http.is_some(), source.cron.is_some(), source.sqs.is_some(), source.awsstepfunc.is_some()];
    kinds.iter().zip(EventSourceKind::NAMES).find_map(|(is, name)| is.then_some(name))
}

// === impl Page ===

impl Page {
    /// 1001 for a limit out of bounds.
    pub(super) fn new(limit: Option<i64>, next_token: Option<String>) -> Result<Self, RpcError> {
        // 0 is what clients in some languages send for "not set".
        let limit = match limit {
            None | Some(0) => PAGE,
            Some(limit) => usize::try_from(limit)
                .ok()
                .filter(|limit| *limit <= PAGE)
                .ok_or_else(|| invalid("limit", format!("is {limit}; 1 to {PAGE} are allowed")))?,
        };
        Ok(Self { limit, after: next_token.filter(|token| !token.is_empty()) })
    }

    /// Cuts the page out of `sorted`; the second value is the token of the next one.
    pub(super) fn cut<'a, T>(
        &self,
        sorted: impl Iterator<Item = &'a T>,
        name: impl Fn(&T) -> &str,
    ) -> (Vec<T>, Option<String>)
    where
        T: Clone + 'a,
    {
        let mut rest = sorted.filter(|item| self.after.as_deref().is_none_or(|after| name(item) > after));
        let page: Vec<T> = rest.by_ref().take(self.limit).cloned().collect();
        let more = rest.next().is_some();
        let next = page.last().filter(|_| more).map(|last| name(last).to_owned());
        (page, next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_without_gap_or_repeat() {
        let names: Vec<String> = (0..25).map(|index| format!("n{index:02}")).collect();
        let mut token = None;
        let mut seen = Vec::new();
        let mut pages = 0;
        loop {
            let (page, next) = Page::new(Some(10), token).unwrap().cut(names.iter(), |name| name.as_str());
            seen.extend(page);
            pages += 1;
            token = next;
            if token.is_none() {
                break;
            }
        }
        assert_eq!((seen, pages), (names.clone(), 3));
        let (page, next) = Page::new(Some(25), None).unwrap().cut(names.iter(), |name| name.as_str());
        assert_eq!((page.len(), next), (25, None));
    }

    #[test]
    fn a_limit_out_of_bounds_is_refused() {
        for bad in [-1, 1_001, i64::MIN, i64::MAX] {
            assert_eq!(Page::new(Some(bad), None).unwrap_err().code, 1001, "{bad}");
        }
        for good in [1, 1_000] {
            assert!(Page::new(Some(good), None).is_ok());
        }
    }

    #[test]
    fn selections_fold_case_and_treat_empty_as_not_given() {
        let component =
            Component { name: "shop_web".into(), project_name: Some("shop".into()), ..Default::default() };
        let takes = |prefix: &str, project: &str| {
            Selection::new(Some(prefix.into())).project(Some(project.into())).takes_component(&component)
        };
        assert!(takes("Shop_", "") && takes("", "SHOP") && takes("", ""));
        assert!(!takes("web", "") && !takes("", "other"));
        assert_eq!(Selection::default().kind(Some("ftp".into())).unwrap_err().code, 1001);
    }
}
