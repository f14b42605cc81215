use std::fs;

use super::*;

fn pair() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

fn mounted(crt: &str, key: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("server.crt"), crt).unwrap();
    fs::write(folder.path().join("server.key"), key).unwrap();
    folder
}

fn loaded(folder: &Path) -> Result<Option<CertifiedKey>, TlsError> {
    load(folder, &aws_lc_rs::default_provider())
}

#[test]
fn s5_1_the_mounted_pair_is_served() {
    let (crt, key) = pair();
    let folder = mounted(&crt, &key);
    let served = loaded(folder.path()).unwrap().unwrap();
    assert_eq!(served.cert[0], CertificateDer::from_pem_slice(crt.as_bytes()).unwrap());
}

#[test]
fn w18_an_empty_or_missing_mount_means_none() {
    assert!(loaded(Path::new("/nonexistent/keys")).unwrap().is_none());
    assert!(loaded(tempfile::tempdir().unwrap().path()).unwrap().is_none());
    assert!(loaded(mounted("", "").path()).unwrap().is_none());
}

#[test]
fn w18_a_pair_that_cannot_be_used_is_named_and_replaced() {
    let (crt, key) = pair();
    let (_, stranger) = pair();
    for (crt, key, why) in [
        ("junk", key.as_str(), "server.crt holds no PEM certificate"),
        ("", &key, "server.crt holds no PEM certificate"),
        (&crt, "", "server.key holds no PEM private key"),
        (&crt, &stranger, "do not belong together"),
    ] {
        let folder = mounted(crt, key);
        let error = loaded(folder.path()).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        assert!(server_config(Some(folder.path()), &["localhost".to_owned()]).is_ok());
    }
}

#[test]
fn w18_a_certificate_names_the_machine_and_the_given_address() {
    let names = certificate_names(&["[2001:db8::1]".to_owned()], &["192.0.2.1".parse().unwrap()]);
    for name in ["localhost", "127.0.0.1", "::1", "2001:db8::1", "192.0.2.1"] {
        assert!(names.iter().any(|known| known == name), "{name} in {names:?}");
    }
    let names = certificate_names(&["0.0.0.0".to_owned()], &["::".parse().unwrap()]);
    assert!(!names.iter().any(|name| name == "0.0.0.0" || name == "::"), "{names:?}");
    assert!(make(&names, &aws_lc_rs::default_provider()).is_ok());
}
