//! Who may have which configuration: a dataplane's pod the one of its Gateway, anybody else what the cluster's roles
//! say.
//!
//! Who asks is found out by a TokenReview. A token that is bound to a pod names it, and the pod's labels, which the
//! operator itself writes, name its Gateway. For everybody else a SubjectAccessReview asks whether they may `get`, or
//! `list`, the resource `configs` of the group `stunner.l7mp.io`. There is no object of that kind: it exists for roles.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use cds::{
    Scope,
    guard::{Denied, Guard, Wanted},
};
use config::Secret;
use gateway::names;
use k8s_openapi::api::{
    authentication::v1::{TokenReview, TokenReviewSpec, UserInfo},
    authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
    core::v1::Pod,
};
use kube::{Api, Client, api::PostParams};
use tokio::time::{Instant, timeout};

/// How long an answer is remembered: what is withdrawn counts after that.
const ALLOWED: Duration = Duration::from_secs(30);
/// The same for refusals, which may be mended at any time.
const DENIED: Duration = Duration::from_secs(5);
/// Answers that are remembered.
const ANSWERS: usize = 8192;
/// Longest time for the API server to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest token that is looked at, in bytes.
const LONGEST_TOKEN: usize = 16 << 10;

const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// The group and the resource of the roles that let others than dataplanes have configurations.
const GROUP: &str = "stunner.l7mp.io";
const RESOURCE: &str = "configs";

/// A guard that asks the API server about tokens made for `audience`.
pub fn guard(client: Client, audience: String) -> Guard {
    let doorman = Arc::new(Doorman { client, audience, answers: Mutex::default() });
    Guard::new(move |token, wanted| {
        let doorman = Arc::clone(&doorman);
        Box::pin(async move { doorman.decide(token, wanted).await })
    })
}

struct Doorman {
    client: Client,
    audience: String,
    answers: Mutex<HashMap<Question, Answer>>,
}

/// Tokens are remembered by their hash.
type Question = ([u8; 32], Wanted);

struct Answer {
    decision: Result<(), Denied>,
    until: Instant,
}

impl Doorman {
    async fn decide(&self, token: Option<Secret>, wanted: Wanted) -> Result<(), Denied> {
        let Some(token) = token.filter(|token| token.expose().len() <= LONGEST_TOKEN) else {
            return Err(Denied::Unknown(format!(
                "there is no token; send one of a service account for the audience {:?} as Authorization: Bearer",
                self.audience
            )));
        };
        let question = (hash(token.expose()), wanted);
        if let Some(known) = self.recall(&question) {
            return known;
        }
        let decision = timeout(PATIENCE, self.ask(token, &question.1)).await;
        let decision = decision.unwrap_or_else(|_| Err(unavailable("the API server does not answer")));
        if let Err(denied) = &decision {
            tracing::info!(target: "operator", wanted = ?question.1, ?denied, "configurations refused");
        }
        self.remember(question, &decision);
        decision
    }

    async fn ask(&self, token: Secret, wanted: &Wanted) -> Result<(), Denied> {
        let user = self.review(token).await?;
        let Wanted::Configs(scope) = wanted else { return Ok(()) };
        if self.is_own(&user, scope).await? || self.is_allowed(&user, scope).await? {
            return Ok(());
        }
        let name = user.username.unwrap_or_default();
        Err(Denied::Forbidden(format!(
            "{name} may not have {scope}: it is not a pod of that gateway, and no role lets it {} {RESOURCE}.{GROUP}",
            verb(scope)
        )))
    }

    /// Whose token it is.
    async fn review(&self, token: Secret) -> Result<UserInfo, Denied> {
        let spec = TokenReviewSpec {
            token: Some(token.expose().to_owned()),
            audiences: Some(vec![self.audience.clone()]),
        };
        let review = TokenReview { spec, ..TokenReview::default() };
        let api: Api<TokenReview> = Api::all(self.client.clone());
        let reviewed = api.create(&PostParams::default(), &review).await;
        let status = reviewed.map_err(|error| unavailable(&error.to_string()))?.status.unwrap_or_default();
        // A reviewer that knows nothing of audiences must not make any token good for us.
        let is_for_us = status.audiences.unwrap_or_default().contains(&self.audience);
        match status.user {
            Some(user) if status.authenticated == Some(true) && is_for_us => Ok(user),
            _ => {
                let reason = status.error.unwrap_or_else(|| "it is not valid".to_owned());
                Err(Denied::Unknown(format!(
                    "the token is refused for the audience {:?}: {reason}",
                    self.audience
                )))
            }
        }
    }

    /// Whether the token is that of a pod that serves this very gateway. Its labels are believed only in its own
    /// namespace, where whoever may create pods may read Secrets by mounting them, too.
    async fn is_own(&self, user: &UserInfo, scope: &Scope) -> Result<bool, Denied> {
        let Scope::Gateway { namespace, name } = scope else { return Ok(false) };
        let account = user.username.as_deref().unwrap_or_default().strip_prefix(SERVICE_ACCOUNT);
        let extra = |key: &str| user.extra.as_ref()?.get(key)?.first().cloned();
        let (Some(account), Some(pod), Some(uid)) = (account, extra(POD_NAME), extra(POD_UID)) else {
            return Ok(false);
        };
        if account.split(':').next() != Some(namespace) {
            return Ok(false);
        }
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let found = api.get_metadata_opt(&pod).await.map_err(|error| unavailable(&error.to_string()))?;
        let Some(found) = found else { return Ok(false) };
        let labels = found.metadata.labels.unwrap_or_default();
        let label = |key: &str| labels.get(key).map(String::as_str);
        Ok(found.metadata.uid.as_deref() == Some(&uid)
            && label(names::RELATED_GATEWAY_NAMESPACE) == Some(namespace)
            && label(names::RELATED_GATEWAY) == Some(name))
    }

    /// Whether a role says so.
    async fn is_allowed(&self, user: &UserInfo, scope: &Scope) -> Result<bool, Denied> {
        let (namespace, name) = match scope {
            Scope::All => (None, None),
            Scope::Namespace(namespace) => (Some(namespace.clone()), None),
            Scope::Gateway { namespace, name } => (Some(namespace.clone()), Some(name.clone())),
        };
        let attributes = ResourceAttributes {
            group: Some(GROUP.to_owned()),
            resource: Some(RESOURCE.to_owned()),
            verb: Some(verb(scope).to_owned()),
            namespace,
            name,
            ..ResourceAttributes::default()
        };
        let spec = SubjectAccessReviewSpec {
            user: user.username.clone(),
            uid: user.uid.clone(),
            groups: user.groups.clone(),
            extra: user.extra.clone(),
            resource_attributes: Some(attributes),
            ..SubjectAccessReviewSpec::default()
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let api: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let reviewed = api.create(&PostParams::default(), &review).await;
        let reviewed = reviewed.map_err(|error| unavailable(&error.to_string()))?;
        Ok(reviewed.status.is_some_and(|status| status.allowed))
    }

    fn recall(&self, question: &Question) -> Option<Result<(), Denied>> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = answers.get(question)?;
        (Instant::now() < answer.until).then(|| answer.decision.clone())
    }

    fn remember(&self, question: Question, decision: &Result<(), Denied>) {
        let period = match decision {
            Ok(()) => ALLOWED,
            Err(Denied::Unavailable(_)) => return,
            Err(_) => DENIED,
        };
        let now = Instant::now();
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= ANSWERS {
            answers.retain(|_, answer| now < answer.until);
        }
        if answers.len() < ANSWERS {
            answers.insert(question, Answer { decision: decision.clone(), until: now + period });
        }
    }
}

/// What a role has to allow.
fn verb(scope: &Scope) -> &'static str {
    match scope {
        Scope::All | Scope::Namespace(_) => "list",
        Scope::Gateway { .. } => "get",
    }
}

fn unavailable(problem: &str) -> Denied {
    Denied::Unavailable(format!("the token cannot be reviewed: {problem}"))
}

fn hash(token: &str) -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(token.as_bytes()).into()
}
