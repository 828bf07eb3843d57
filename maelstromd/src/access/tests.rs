use http::HeaderValue;

use super::*;

const ADMIN: &str = "admin-0123456789abcdef";
const ADMIN_NEXT: &str = "admin-fedcba9876543210";
const READER: &str = "reader-0123456789abcde";
const SECRET: &str = "cluster-0123456789abcd";
const SECRET_NEXT: &str = "cluster-dcba9876543210";

fn keys(tokens: &str, readonly: &str, secrets: &str) -> Keys {
    let list = |text| Secret::list(text).unwrap();
    Keys::new(&list(tokens), &list(readonly), &list(secrets))
}

fn authorization(value: &str) -> HeaderMap {
    HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap())])
}

fn of_peer(secrets: &str) -> HeaderMap {
    let proof = keys("", "", secrets).peers().proof().unwrap().clone();
    HeaderMap::from_iter([(PEER, proof)])
}

#[test]
fn every_caller_gets_what_its_token_gives() {
    let both = format!("{ADMIN},{ADMIN_NEXT}");
    let locked = keys(&both, READER, SECRET);
    for (value, granted) in [
        (format!("Bearer {ADMIN}"), Ok(Access::Change)),
        (format!("bearer  {ADMIN_NEXT} "), Ok(Access::Change)),
        (format!("Bearer {READER}"), Ok(Access::Read)),
        (format!("Bearer {ADMIN}x"), Err(Denied::Wrong)),
        (format!("Bearer {}", &ADMIN[1..]), Err(Denied::Wrong)),
        (format!("Bearer {}", ADMIN.to_uppercase()), Err(Denied::Wrong)),
        // The cluster's secret is no token, and neither is a list of two.
        (format!("Bearer {SECRET}"), Err(Denied::Wrong)),
        (format!("Bearer {both}"), Err(Denied::Wrong)),
        ("Bearer ".to_owned(), Err(Denied::Missing)),
        ("Bearer".to_owned(), Err(Denied::Missing)),
        (format!("Basic {ADMIN}"), Err(Denied::Missing)),
        (ADMIN.to_owned(), Err(Denied::Missing)),
    ] {
        assert_eq!(locked.granted(&authorization(&value)), granted, "{value}");
    }
    assert_eq!(locked.granted(&HeaderMap::new()), Err(Denied::Missing));
    let mut twice = authorization(&format!("Bearer {READER}"));
    twice.append(header::AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {ADMIN}")).unwrap());
    assert_eq!(locked.granted(&twice), Err(Denied::Missing));
}

#[test]
fn what_is_locked_follows_from_what_is_set() {
    let (nobody, peer) = (HeaderMap::new(), of_peer(SECRET));
    for (tokens, readonly, secrets, of_nobody, of_the_peer) in [
        ("", "", "", Ok(Access::Peer), Ok(Access::Peer)),
        ("", "", SECRET, Ok(Access::Change), Ok(Access::Peer)),
        (ADMIN, "", SECRET, Err(Denied::Missing), Ok(Access::Peer)),
        (ADMIN, READER, SECRET_NEXT, Err(Denied::Missing), Err(Denied::NotAPeer)),
        (ADMIN, "", "", Err(Denied::Missing), Err(Denied::NotAPeer)),
    ] {
        let keys = keys(tokens, readonly, secrets);
        assert_eq!(keys.granted(&nobody), of_nobody, "nobody, with {tokens:?} {readonly:?} {secrets:?}");
        assert_eq!(keys.granted(&peer), of_the_peer, "a peer, with {tokens:?} {readonly:?} {secrets:?}");
    }
}

#[test]
fn nodes_prove_themselves_by_the_api_token_where_there_is_no_secret_of_theirs() {
    let node = keys(ADMIN, READER, "");
    assert_eq!(node.granted(&of_peer(ADMIN)), Ok(Access::Peer));
    // Who may look only doesn't become a node by it.
    assert_eq!(node.granted(&of_peer(READER)), Err(Denied::NotAPeer));
    assert!(!node.peers().admits(&HeaderMap::from_iter([(PEER, HeaderValue::from_static(ADMIN))])));
}

#[test]
fn a_secret_is_rotated_without_a_moment_of_strangeness() {
    // Step by step over two nodes: at no time do they refuse each other.
    let (old, both, both_turned, new) = (
        SECRET.to_owned(),
        format!("{SECRET},{SECRET_NEXT}"),
        format!("{SECRET_NEXT},{SECRET}"),
        SECRET_NEXT.to_owned(),
    );
    for (one, other) in [(&old, &both), (&both, &both_turned), (&both_turned, &new)] {
        assert!(keys("", "", one).peers().admits(&of_peer(other)), "{one} {other}");
        assert!(keys("", "", other).peers().admits(&of_peer(one)), "{other} {one}");
    }
    assert!(!keys("", "", &old).peers().admits(&of_peer(&new)));
}

#[test]
fn a_proof_is_given_once_and_whole() {
    let secret = keys("", "", SECRET);
    let proof = of_peer(SECRET)[&PEER].clone();
    let given = |values: &[HeaderValue]| {
        let mut headers = HeaderMap::new();
        values.iter().for_each(|value| {
            headers.append(PEER, value.clone());
        });
        secret.peers().admits(&headers)
    };
    assert!(given(std::slice::from_ref(&proof)));
    assert!(!given(&[]));
    assert!(!given(&[proof.clone(), proof.clone()]));
    assert!(!given(&[HeaderValue::from_bytes(&proof.as_bytes()[1..]).unwrap()]));
    assert!(!given(&[HeaderValue::from_static(""), proof]));
}

#[test]
fn nothing_of_a_token_is_ever_printed() {
    let keys = keys(ADMIN, READER, SECRET);
    let printed = format!("{keys:?} {:?} {:?}", Secret::new(ADMIN), of_peer(SECRET));
    for hidden in ["0123456789", keys.peers().proof().unwrap().to_str().unwrap()] {
        assert!(!printed.contains(hidden), "{printed}");
    }
}

#[test]
fn what_can_be_guessed_or_torn_apart_is_no_token() {
    for bad in ["short", "0123456789abcde", "0123456789 abcdef", "0123456789abcdeä", &"x".repeat(257)] {
        assert_eq!(Secret::list(bad), None, "{bad}");
    }
    assert_eq!(Secret::list(&format!("{ADMIN}, {READER},")).map(|list| list.len()), Some(2));
    assert_eq!(Secret::list(&format!("{ADMIN},short")), None);
}
