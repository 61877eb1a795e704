//! Who runs the command: the identity that may make and delete connected clusters. It is used now and kept nowhere; the
//! service has another one that may do neither.

use super::connect::options::OperatorOptions;
use crate::azure::identity::{Certificate, ClientSecret};
use crate::azure::{Cloud, Credential, Identity};
use crate::clock::Clock;
use crate::config::CredentialFile;
use crate::core::{Outcome, Reason, Scope};
use crate::http::Client;
use zeroize::Zeroizing;

/// The variable with an ARM access token.
pub(super) const VARIABLE: &str = "ARCLET_OPERATOR_TOKEN";

/// Where the operator's tokens come from.
pub(super) enum Operator {
    /// One that somebody else got.
    Token(Zeroizing<String>),
    /// Entra, for a service principal.
    Identity(Box<Identity>),
}

impl Operator {
    /// From the command line, or the environment (`token`). `tenant` counts when the operator's is not given.
    pub(super) fn new(
        options: &OperatorOptions,
        tenant: Option<&str>,
        token: Option<String>,
        cloud: &Cloud,
        client: &Client,
        clock: &Clock,
    ) -> Result<Operator, Reason> {
        let read = |path: &std::path::Path| CredentialFile::find(path.to_owned(), None);
        if let Some(path) = &options.token_file {
            return Ok(Operator::Token(read(path).read_text()?));
        }
        let credential = match (&options.client, &options.secret_file, &options.certificate_file) {
            (None, None, None) => {
                return token.filter(|token| !token.trim().is_empty()).map_or_else(
                    || {
                        Err(Reason::new("NoOperator", "this needs somebody who may make connected clusters").cure(format!(
                            "az account get-access-token --query accessToken -o tsv > FILE (mode 0600), then \
                             --operator-token-file FILE; or set {VARIABLE}; or --operator-client-id with a secret or certificate"
                        )))
                    },
                    |token| Ok(Operator::Token(Zeroizing::new(token.trim().to_owned()))),
                );
            }
            (Some(id), Some(path), None) => {
                Credential::ClientSecret(ClientSecret::new(id.as_str(), &read(path).read_text()?))
            }
            (Some(id), None, Some(path)) => {
                Credential::Certificate(Box::new(Certificate::from_pem(id.as_str(), &read(path).read()?)?))
            }
            _ => {
                let what = "--operator-client-id needs --operator-client-secret-file or --operator-certificate-file, not both";
                return Err(Reason::new("NoOperator", what));
            }
        };
        let tenant = options.tenant.as_deref().or(tenant).ok_or_else(|| {
            Reason::new("NoOperator", "the operator's tenant is not known").cure("give --operator-tenant")
        })?;
        let identity = Identity::new(credential, tenant, cloud.clone(), client.clone(), clock.clone());
        Ok(Operator::Identity(Box::new(identity)))
    }

    /// A token for ARM.
    pub(super) fn token(&self) -> Result<Zeroizing<String>, Outcome> {
        match self {
            Operator::Token(token) => Ok(token.clone()),
            Operator::Identity(identity) => identity.token(Scope::Arm, None).map(|token| token.secret),
        }
    }
}
