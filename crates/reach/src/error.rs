use std::time::Duration;

/// Why a pod cannot be found or reached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The flags or files that should lead to a cluster do not.
    #[error(
        "{origin}: {problem}; correct it, or choose another with --kubeconfig, --context, --cluster or --user"
    )]
    Kubeconfig {
        /// Which flag, variable or file.
        origin: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A flag has an unusable value.
    #[error("{flag} {value:?}: {remedy}")]
    Flag {
        /// Which one.
        flag: &'static str,
        /// Its value.
        value: String,
        /// What to write instead.
        remedy: &'static str,
    },
    /// The API server refuses or cannot be reached.
    #[error("cannot {what} ({origin}): {problem}")]
    Api {
        /// What was asked for.
        what: String,
        /// What led to the API server.
        origin: String,
        /// What is wrong.
        problem: String,
    },
    /// The API server does not answer.
    #[error("cannot {what} ({origin}): no answer for {deadline:?} (--request-timeout)")]
    Deadline {
        /// What was asked for.
        what: String,
        /// What led to the API server.
        origin: String,
        /// How long that may take.
        deadline: Duration,
    },
    /// There are no such pods.
    #[error("no {what} found: there is no pod labelled {labels} in {place}; {remedy}")]
    NoPod {
        /// What the pods are for.
        what: &'static str,
        /// What they have to be labelled with.
        labels: String,
        /// Where they were looked for.
        place: String,
        /// What to do.
        remedy: &'static str,
    },
    /// There are pods, but none that would answer.
    #[error("no {what} is ready: {pods} in {place}")]
    NotReady {
        /// What the pods are for.
        what: &'static str,
        /// Names of the pods.
        pods: String,
        /// Where they are.
        place: String,
    },
}
