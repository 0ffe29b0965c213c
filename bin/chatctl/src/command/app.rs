//! What every command works with: the configuration, the login, the client and the output.

use std::time::Duration;

use serde::Serialize;

use crate::{
    Client, ClientError, Endpoint, Options, Page, Signed,
    args::Global,
    client::{ENDPOINTS_MAX, PAGE_ITEMS_MAX},
    config::Config,
    output::{Output, visible_line},
    session::{Session, Store},
};

/// Which part of a list.
pub(super) struct Cut {
    /// At most so many.
    pub(super) limit: u64,
    /// Behind this name.
    pub(super) after: Option<String>,
}

/// The parts of one run.
#[derive(Debug)]
pub(super) struct App {
    pub(super) config: Config,
    pub(super) output: Output,
    pub(super) no_input: bool,
    /// How long a request may take over all nodes.
    pub(super) timeout: Duration,
    client: Client,
    store: Store,
    user: Option<String>,
    /// The nodes of the cluster, as its login knows them.
    nodes: Vec<String>,
}

impl App {
    pub(super) fn new(global: &Global, output: Output) -> Result<Self, ClientError> {
        let config = Config::load(global)?;
        let store = Store::new(&config.profile)?;
        let session = store.load()?.filter(|session| session.belongs_to(&config.endpoints));
        let client = Client::new(Options {
            endpoints: endpoints(&config, session.as_ref()),
            ca: config.ca.clone(),
            token: session.as_ref().map(|session| session.token.clone()),
            timeout: global.timeout,
            read: global.read,
        })?;
        client.saw(session.as_ref().map_or(0, |session| session.index));
        let (user, nodes) = session.map(|session| (session.user, session.endpoints)).unzip();
        let nodes = nodes.unwrap_or_default();
        Ok(Self {
            config,
            output,
            no_input: global.no_input,
            timeout: global.timeout,
            client,
            store,
            user,
            nodes,
        })
    }

    /// The client, whether logged in or not.
    pub(super) fn anonymous(&self) -> &Client {
        &self.client
    }

    /// The client of somebody who is logged in.
    pub(super) fn client(&self) -> Result<&Client, ClientError> {
        self.user().map(|_user| &self.client)
    }

    /// Who is logged in.
    pub(super) fn user(&self) -> Result<&str, ClientError> {
        self.user.as_deref().ok_or_else(|| {
            let login = self.login_command("NAME");
            ClientError::not_logged_in(format!("log in to this cluster first: {login}"))
        })
    }

    /// Whether the cluster named this node when the user logged in, or it answered then.
    pub(super) fn knows(&self, endpoint: &Endpoint) -> bool {
        self.nodes.contains(&endpoint.to_string())
    }

    /// Adds what to do about a session that the cluster no longer knows.
    pub(super) fn explain(&self, error: ClientError) -> ClientError {
        match (error, self.user.as_deref()) {
            (ClientError::Refused { status, code, message, .. }, Some(user))
                if (status == 401 && code != "bad_credentials") || code == "session_ended" =>
            {
                let hint = Some(format!("log in again: {}", self.login_command(user)));
                ClientError::Refused { status, code, message, hint }
            }
            (error, _) => error,
        }
    }

    /// Shows a list page by page, up to the limit, and says how to see the rest.
    pub(super) async fn list<T: Serialize>(
        &self,
        Cut { limit, mut after }: Cut,
        fetch: impl AsyncFn(Option<&str>, u64) -> Result<Page<T>, ClientError>,
        text: impl Fn(&T) -> String,
    ) -> Result<(), ClientError> {
        let mut left = limit;
        while left > 0 {
            let page = fetch(after.as_deref(), left.min(PAGE_ITEMS_MAX)).await?;
            left = left.saturating_sub(u64::try_from(page.items.len()).unwrap_or(u64::MAX));
            page.items.iter().try_for_each(|item| self.output.item(item, &text(item)))?;
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
        let next = visible_line(&after.unwrap_or_default());
        self.output.note(&format!("there are more: continue with --after {next}"));
        Ok(())
    }

    fn login_command(&self, name: &str) -> String {
        match self.config.profile.as_str() {
            "default" => format!("chatctl login {name}"),
            profile => format!("chatctl --profile {profile} login {name}"),
        }
    }

    /// Keeps a new login, for this run and later ones.
    pub(super) fn signed_in(
        &mut self,
        signed: &Signed,
        nodes: Vec<String>,
    ) -> Result<(), ClientError> {
        if let Some(before) = self.user.replace(signed.user.name.clone())
            && before != signed.user.name
        {
            self.output.note(&format!(
                "{before} was logged in here before; give each user a --profile to keep both"
            ));
        }
        let mut endpoints: Vec<String> = vec![self.client.preferred().to_string()];
        let known = self.config.endpoints.iter().map(ToString::to_string);
        for endpoint in known.chain(nodes).take(ENDPOINTS_MAX) {
            if !endpoints.contains(&endpoint) {
                endpoints.push(endpoint);
            }
        }
        self.store.save(&Session {
            user: signed.user.name.clone(),
            token: signed.token.clone(),
            expires: signed.expires.clone(),
            endpoints,
            index: self.client.index(),
        })
    }

    /// Forgets the login.
    pub(super) fn signed_out(&mut self) -> Result<(), ClientError> {
        self.user = None;
        self.store.remove()
    }

    /// Keeps which node answered last and the index that this session saw, unless the login changed
    /// meanwhile.
    pub(super) fn keep(&self) -> Result<(), ClientError> {
        let Some(mut session) = self.store.load()? else { return Ok(()) };
        if self.client.token().as_deref() != Some(&session.token) {
            return Ok(());
        }
        let before = session.clone();
        let preferred = self.client.preferred().to_string();
        if let Some(at) = session.endpoints.iter().position(|endpoint| *endpoint == preferred) {
            session.endpoints.remove(at);
            session.endpoints.insert(0, preferred);
        }
        session.index = session.index.max(self.client.index());
        if session == before { Ok(()) } else { self.store.save(&session) }
    }
}

/// The endpoints to use, the one that answered last first. What the cluster told about itself is added,
/// unless exactly these were asked for.
fn endpoints(config: &Config, session: Option<&Session>) -> Vec<Endpoint> {
    let known: Vec<Endpoint> = session
        .map(|session| session.endpoints.as_slice())
        .unwrap_or_default()
        .iter()
        .filter_map(|endpoint| endpoint.parse().ok())
        .collect();
    let mut ordered: Vec<Endpoint> = Vec::new();
    let first = known.first().filter(|first| config.endpoints.contains(first)).cloned();
    let learnt = if config.exactly { first.into_iter().collect() } else { known };
    for endpoint in learnt.into_iter().chain(config.endpoints.iter().cloned()) {
        if !ordered.contains(&endpoint) {
            ordered.push(endpoint);
        }
    }
    ordered.truncate(ENDPOINTS_MAX);
    ordered
}
