use std::{fs, io, path::Path};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// Names under which pods and people know the API server.
const SERVER: [&str; 8] = [
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "127.0.0.1",
    "10.96.0.1",
    crate::ADDRESS,
];

/// Writes the certificates of a node into a folder: `authority`, `server` of the API server, and `kubelet`, by which
/// the kubelet knows the API server.
pub(crate) fn write(folder: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder)?;
    let mut params = named("node-authority", "")?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate()?;
    let authority = params.self_signed(&key)?;
    fs::write(folder.join("authority.pem"), authority.pem())?;
    let issuer = Issuer::new(params, key);

    let mut server = named("kube-apiserver", "")?;
    server.subject_alt_names = CertificateParams::new(SERVER.map(str::to_owned))?.subject_alt_names;
    issue(folder, "server", &server, &issuer)?;
    issue(folder, "kubelet", &named("kube-apiserver-kubelet-client", "system:masters")?, &issuer)
}

fn named(name: &str, group: &str) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.distinguished_name.push(DnType::CommonName, name);
    if !group.is_empty() {
        params.distinguished_name.push(DnType::OrganizationName, group);
    }
    Ok(params)
}

fn issue(
    folder: &Path,
    name: &str,
    params: &CertificateParams,
    issuer: &Issuer<'_, KeyPair>,
) -> Result<(), Error> {
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, issuer)?;
    fs::write(folder.join(name).with_extension("pem"), certificate.pem())?;
    fs::write(folder.join(name).with_extension("key"), key.serialize_pem())?;
    Ok(())
}

/// Why certificates could not be made.
#[derive(Debug)]
pub(crate) struct Error(#[expect(dead_code, reason = "shown by Debug")] String);

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<rcgen::Error> for Error {
    fn from(error: rcgen::Error) -> Self {
        Self(error.to_string())
    }
}
