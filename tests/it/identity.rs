//! Production behind a name that is allowed: only the server can tell.

use std::sync::Arc;

use fixture_guard::{
    Code, Destruction, Environment, Error, IntoTarget, MarkerRule, Policy, Refusal, Stage, SuperuserRule,
    destructive_fixture, marker,
};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, PgConnection};
use support::{APP_PASSWORD, APP_USER, Database, PRODUCTION, PoolMode, Proxy, Rerun, STAGING, Server};

use crate::support;

#[destructive_fixture]
async fn reset_db(conn: &mut PgConnection) -> Result<(), Error> {
    conn.execute("DELETE FROM categories; DELETE FROM cms_blocks")
        .await
        .expect("the body may fail in no test here");
    Ok(())
}

/// Both clusters are known by their identifiers, and staging by the given hosts.
fn policy(hosts: &[&str]) -> Environment {
    hosts.iter().fold(Environment::destructive("staging"), |staging, host| staging.host(host).unwrap())
}

async fn clusters(staging: Environment) -> Arc<Policy> {
    let [production_server, staging_server] = support::servers([PRODUCTION, STAGING]).await;
    let staging = staging.system_identifier(staging_server.system_identifier().parse().unwrap());
    let production = Environment::protected("production")
        .system_identifier(production_server.system_identifier().parse().unwrap());
    Arc::new(Policy::new().environment(staging).unwrap().environment(production).unwrap())
}

async fn refused(policy: &Arc<Policy>, target: impl IntoTarget<PgConnection>) -> Refusal {
    let error = reset_db(policy.judging(target)).await.unwrap_err();
    error.refusal().expect("a refusal").clone()
}

fn codes(refusal: &Refusal) -> Vec<Code> {
    refusal.reasons().iter().map(fixture_guard::Reason::code).collect()
}

async fn assert_kept(production: &Database) {
    assert_eq!(production.rows("categories").await, 2_847);
    assert_eq!(production.rows("cms_blocks").await, 412);
}

fn dsn(host: &str, port: u16, database: &str) -> String {
    format!("postgres://{APP_USER}:{APP_PASSWORD}@{host}:{port}/{database}")
}

async fn production() -> (&'static Server, Database) {
    let server = support::postgres(PRODUCTION).await;
    (server, server.storefront().await)
}

#[tokio::test]
async fn leaves_every_row_behind_a_tunnel_on_localhost() {
    let (server, production) = production().await;
    let tunnel = Proxy::to(server).await;
    let target = dsn("127.0.0.1", tunnel.port(), production.name());

    // the guard knows production's cluster
    let refusal = refused(&clusters(policy(&["127.0.0.1"])).await, &target).await;
    assert!(codes(&refusal).contains(&Code::ProtectedEnvironment), "{refusal}");
    assert_eq!(refusal.stage(), Stage::Connected);

    // it knows nothing but the host's name
    let known = Policy::new().environment(policy(&["127.0.0.1"])).unwrap();
    let refusal = refused(&Arc::new(known), &target).await;
    assert!(codes(&refusal).contains(&Code::ProductionWord), "the cluster's own name says it: {refusal}");

    assert_kept(&production).await;
}

#[tokio::test]
async fn leaves_every_row_behind_a_tunnel_that_nothing_vouches_for() {
    let server = support::postgres(STAGING).await;
    let staging = server.storefront().await;
    let before = staging.all_rows().await;
    let tunnel = Proxy::to(server).await;
    // a name, not an address of Docker's: it could be anything's
    support::rerun!(Rerun::with([STAGING]).name("db-staging.internal", tunnel.address()));
    let known = Arc::new(Policy::new().environment(policy(&["db-staging.internal"])).unwrap());

    let refusal = refused(&known, dsn("db-staging.internal", tunnel.port(), staging.name())).await;

    assert_eq!(codes(&refusal), [Code::Forwarded], "{refusal}");
    assert_eq!(staging.all_rows().await, before);
}

#[tokio::test]
async fn leaves_every_row_behind_a_name_with_a_proxy_on_the_servers_port() {
    let server = support::postgres(STAGING).await;
    let staging = server.storefront().await;
    let before = staging.all_rows().await;
    let proxy = Proxy::with_the_port_of(server).await;
    support::rerun!(Rerun::with([STAGING]).name("db-staging.internal", proxy.address()));
    let by_name = policy(&["db-staging.internal"]);
    let target = dsn("db-staging.internal", proxy.port(), staging.name());

    let known = Arc::new(Policy::new().environment(by_name.clone()).unwrap());
    let refusal = refused(&known, &target).await;
    assert_eq!(codes(&refusal), [Code::Forwarded], "{refusal}");
    assert!(refusal.to_string().contains("no address of `db-staging.internal`"), "{refusal}");
    assert_eq!(staging.all_rows().await, before);

    let vouched = by_name.system_identifier(server.system_identifier().parse().unwrap());
    let vouched = Arc::new(Policy::new().environment(vouched).unwrap());
    reset_db(vouched.judging(&target)).await.unwrap();
    assert_eq!(staging.rows("categories").await, 0);
}

#[tokio::test]
async fn runs_behind_a_name_of_the_server_itself() {
    let server = support::postgres(STAGING).await;
    let staging = server.storefront().await;
    support::rerun!(Rerun::with([STAGING]).name("db-staging.internal", server.address()));
    let known = Arc::new(Policy::new().environment(policy(&["db-staging.internal"])).unwrap());

    reset_db(known.judging(dsn("db-staging.internal", server.port(), staging.name()))).await.unwrap();

    assert_eq!(staging.rows("categories").await, 0);
}

#[tokio::test]
async fn leaves_every_row_behind_a_second_name() {
    let (server, production) = production().await;
    support::rerun!(Rerun::with([PRODUCTION, STAGING]).name("cname-staging.internal", server.address()));
    let target = dsn("cname-staging.internal", server.port(), production.name());

    let refusal = refused(&clusters(policy(&["*-staging*"])).await, &target).await;
    assert!(codes(&refusal).contains(&Code::ProtectedEnvironment), "{refusal}");

    let network = format!("{}/32", server.address());
    let protected = Environment::protected("elsewhere").network(&network).unwrap();
    let by_network =
        Policy::new().environment(policy(&["*-staging*"])).unwrap().environment(protected).unwrap();
    let refusal = refused(&Arc::new(by_network), &target).await;
    assert!(codes(&refusal).contains(&Code::ProtectedEnvironment), "{refusal}");
    assert_eq!(refusal.stage(), Stage::BeforeConnecting, "the resolved address is enough");

    assert_kept(&production).await;
}

#[tokio::test]
async fn leaves_every_row_behind_an_alias_of_a_pooler() {
    let (_, production) = production().await;
    let conninfo = format!("host={PRODUCTION} port=5432 dbname={}", production.name());
    let bouncer = support::pgbouncer(&[("storefront_staging", &conninfo)], PoolMode::Session).await;
    let host = bouncer.address().to_string();

    let refusal = refused(&clusters(policy(&[&host])).await, bouncer.options("storefront_staging")).await;

    assert!(codes(&refusal).contains(&Code::ProtectedEnvironment), "{refusal}");
    assert!(codes(&refusal).contains(&Code::ConnectedElsewhere), "the database has another name: {refusal}");
    assert_kept(&production).await;
}

#[tokio::test]
async fn leaves_every_row_behind_a_pooler_that_spreads_transactions() {
    let [production_server, staging_server] = support::servers([PRODUCTION, STAGING]).await;
    let name = "storefront_spread";
    for server in [production_server, staging_server] {
        let mut admin = server.admin().await;
        let _ = admin
            .execute(AssertSqlSafe(format!("CREATE DATABASE {name} OWNER {APP_USER} TEMPLATE storefront")))
            .await;
    }
    let hosts = format!("host={STAGING},{PRODUCTION} port=5432 dbname={name}");
    let bouncer = support::pgbouncer(&[(name, &hosts)], PoolMode::Transaction).await;
    let host = bouncer.address().to_string();
    let policy = clusters(policy(&[&host])).await;
    let count = async |server: &Server| -> i64 {
        let mut conn = server.options(name).connect().await.unwrap();
        sqlx::query_scalar("SELECT count(*) FROM categories").fetch_one(&mut conn).await.unwrap()
    };
    let before = count(production_server).await;

    let options = bouncer.options(name).statement_cache_capacity(0);
    // two transactions at once make the pooler open a connection to either server
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = options.connect().await.unwrap();
        client.execute(sqlx::raw_sql("BEGIN")).await.unwrap();
        clients.push(client);
    }
    for client in &mut clients {
        client.execute(sqlx::raw_sql("ROLLBACK")).await.unwrap();
    }
    let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(options);
    let mut refusals = 0;
    for run in 0..6 {
        // the pooler prefers the server that it used last: a transaction on that one sends every second run to the other
        if run % 2 == 1 {
            clients[0].execute(sqlx::raw_sql("BEGIN")).await.unwrap();
        }
        let result = reset_db(policy.judging(&pool)).await;
        clients[0].execute(sqlx::raw_sql("ROLLBACK")).await.unwrap();
        match result {
            Ok(()) => {}
            Err(error) => {
                let refusal = error.refusal().unwrap_or_else(|| panic!("{error}"));
                assert!(codes(refusal).contains(&Code::ProtectedEnvironment), "{refusal}");
                refusals += 1;
            }
        }
    }

    assert!(refusals > 0, "some transaction landed on production");
    assert_eq!(count(production_server).await, before);
    for server in [production_server, staging_server] {
        server
            .admin()
            .await
            .execute(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"))) // fixture-guard: allow(its own database)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn leaves_every_row_when_a_pools_options_were_swapped_after_it_connected() {
    let (_, production) = production().await;
    let staging = support::postgres(STAGING).await.storefront().await;
    let pool = PgPoolOptions::new().max_connections(1).connect_with(production.options()).await.unwrap();
    pool.set_connect_options(staging.options());
    let host = staging.server().address().to_string();

    reset_db(clusters(policy(&[&host])).await.judging(&pool)).await.unwrap();

    assert_kept(&production).await;
    assert_eq!(staging.rows("categories").await, 0, "it ran where the options lead that were judged");
}

#[tokio::test]
async fn leaves_every_row_when_the_client_says_that_it_is_staging() {
    let (server, production) = production().await;
    let environment = policy(&[&server.address().to_string()]).marker(MarkerRule::Required);
    let policy = Arc::new(Policy::new().harmless_word("prod").environment(environment).unwrap());
    let fake = format!("staging@{}", server.system_identifier());
    let options = production.options().options([("fixture_guard.environment", fake)]);

    let refusal = refused(&policy, options).await;

    assert_eq!(codes(&refusal), [Code::MarkerMissing], "{refusal}");
    assert_kept(&production).await;
}

#[tokio::test]
async fn leaves_every_row_when_the_search_path_brings_its_own_functions() {
    let (server, production) = production().await;
    let mut owner = production.options().connect().await.unwrap();
    owner
        .execute(
            "CREATE SCHEMA evil; \
             CREATE FUNCTION evil.current_setting(text) RETURNS text LANGUAGE sql AS $$ SELECT 'staging' $$; \
             CREATE FUNCTION evil.current_setting(text, boolean) RETURNS text LANGUAGE sql AS $$ SELECT 'staging' $$; \
             CREATE FUNCTION evil.current_database() RETURNS name LANGUAGE sql AS $$ SELECT 'staging'::name $$; \
             CREATE FUNCTION evil.inet_server_addr() RETURNS inet LANGUAGE sql AS $$ SELECT '127.0.0.1'::inet $$; \
             CREATE TABLE evil.pg_db_role_setting (setdatabase oid, setrole oid, setconfig text[]); \
             CREATE TABLE evil.pg_database (oid oid, datname name, datdba oid)",
        )
        .await
        .unwrap();
    let options = production.options().options([("search_path", "evil,pg_catalog,public")]);

    let refusal = refused(&clusters(policy(&[&server.address().to_string()])).await, options).await;

    assert!(codes(&refusal).contains(&Code::ProtectedEnvironment), "{refusal}");
    assert!(!codes(&refusal).contains(&Code::IdentityUnknown), "{refusal}");
    assert_kept(&production).await;
}

#[tokio::test]
async fn leaves_every_row_on_a_physical_copy_of_staging() {
    let staging = support::postgres(STAGING).await;
    let copy = support::physical_copy(staging, "copy-of-staging.internal").await;
    assert_eq!(copy.system_identifier(), staging.system_identifier());
    let database = copy.storefront().await;
    let before = database.all_rows().await;
    // the copy has staging's identifier and a marker; where it runs tells them apart
    let network = format!("{}/32", staging.address());
    let known = policy(&[&copy.address().to_string()]).network(&network).unwrap();

    let refusal = refused(&clusters(known).await, database.options()).await;

    assert!(codes(&refusal).contains(&Code::PlaceNotAllowed), "{refusal}");
    assert_eq!(database.all_rows().await, before);
}

#[tokio::test]
async fn leaves_every_row_where_a_dump_of_staging_was_restored() {
    let [production_server, staging_server] = support::servers([PRODUCTION, STAGING]).await;
    let production = production_server.storefront().await;
    // pg_dump --create carries the setting along
    let marker = format!("staging@{}", staging_server.system_identifier());
    let mut admin = production.admin().await;
    let statement =
        format!("ALTER DATABASE {} SET fixture_guard.environment = '{marker}'", production.name());
    admin.execute(AssertSqlSafe(statement)).await.unwrap();
    let environment = policy(&[&production_server.address().to_string()]).marker(MarkerRule::Required);
    let policy = Arc::new(Policy::new().harmless_word("prod").environment(environment).unwrap());

    let refusal = refused(&policy, production.options()).await;

    assert_eq!(codes(&refusal), [Code::MarkerCopied], "{refusal}");
    assert!(refusal.to_string().contains("mark it anew"), "{refusal}");
    assert_kept(&production).await;
}

#[tokio::test]
async fn runs_on_a_database_that_says_it_is_staging() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let environment = policy(&[&staging.server().address().to_string()]).marker(MarkerRule::Required);
    let policy = Arc::new(Policy::new().environment(environment).unwrap());

    let refusal = refused(&policy, staging.options()).await;
    assert_eq!(codes(&refusal), [Code::MarkerMissing], "{refusal}");

    let mut admin = staging.admin().await;
    let written = marker::write(&mut admin, "staging").await.unwrap();
    assert_eq!(marker::read(&mut admin).await.unwrap(), Some(written.clone()));
    assert_eq!(written.environment(), "staging");
    reset_db(policy.judging(staging.options())).await.unwrap();
    assert_eq!(staging.rows("categories").await, 0);

    marker::remove(&mut admin).await.unwrap();
    assert_eq!(marker::read(&mut admin).await.unwrap(), None);
}

#[tokio::test]
async fn leaves_every_row_where_the_marker_names_a_protected_environment() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let before = staging.all_rows().await;
    let mut admin = staging.admin().await;
    marker::write(&mut admin, "archive").await.unwrap();
    let host = staging.server().address().to_string();
    let archive = Environment::protected("archive").host("archive.internal").unwrap();
    let policy = Policy::new().environment(policy(&[&host])).unwrap().environment(archive).unwrap();

    let refusal = refused(&Arc::new(policy), staging.options()).await;

    assert_eq!(codes(&refusal), [Code::MarkerElsewhere], "{refusal}");
    assert_eq!(staging.all_rows().await, before);
}

#[tokio::test]
async fn refuses_a_standby_in_clear_words() {
    let staging = support::postgres(STAGING).await;
    let standby = support::standby(staging, "standby-staging.internal").await;
    let policy = Policy::new().environment(policy(&[&standby.address().to_string()])).unwrap();

    let refusal = refused(&Arc::new(policy), standby.options("storefront")).await;

    assert_eq!(codes(&refusal), [Code::Standby], "{refusal}");
}

#[tokio::test]
async fn leaves_every_row_of_a_database_that_its_owner_made_read_only() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let before = staging.all_rows().await;
    let mut owner = staging.options().connect().await.unwrap();
    let policy = Policy::new().environment(policy(&[&staging.server().address().to_string()])).unwrap();
    let policy = Arc::new(policy);
    for on in ["on", "'T'", "yes", "'1'"] {
        let statement = format!("ALTER DATABASE {} SET default_transaction_read_only = {on}", staging.name());
        owner.execute(AssertSqlSafe(statement)).await.unwrap();

        let refusal = refused(&policy, staging.options()).await;

        assert_eq!(codes(&refusal), [Code::ReadOnly], "{refusal}");
        assert_eq!(staging.all_rows().await, before);
    }
}

#[tokio::test]
async fn refuses_a_superuser_and_a_crowd_where_the_policy_says_so() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let before = staging.all_rows().await;
    let host = staging.server().address().to_string();
    let _other = staging.options().connect().await.unwrap();
    let environment = policy(&[&host]).superuser(SuperuserRule::Refused).max_other_sessions(0);
    let policy = Arc::new(Policy::new().environment(environment).unwrap());
    assert_eq!(policy.environments()[0].destruction(), Destruction::Allowed);

    let refusal = refused(&policy, staging.server().admin_options(staging.name())).await;

    assert_eq!(codes(&refusal), [Code::Superuser, Code::OtherSessions], "{refusal}");
    assert_eq!(staging.all_rows().await, before);
}

#[tokio::test]
async fn what_cannot_be_read_refuses_where_a_rule_needs_it() {
    // the right to execute it belongs to a cluster's databases one by one
    let staging = support::postgres(STAGING).await.storefront().await;
    let before = staging.all_rows().await;
    let mut admin = staging.admin().await;
    admin.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC").await.unwrap();
    let host = staging.server().address().to_string();

    let refusal = refused(&clusters(policy(&[&host])).await, staging.options()).await;
    assert!(refusal.to_string().contains("may not read"), "{refusal}");
    assert_eq!(staging.all_rows().await, before);

    // and is no reason where no rule does
    let by_host = Policy::new().environment(policy(&[&host])).unwrap();
    reset_db(Arc::new(by_host).judging(staging.options())).await.unwrap();
    assert_eq!(staging.rows("categories").await, 0);
}

/// The database's own catalogue is broken in three ways: a question that errors, one that hangs until the server's
/// time limit, and an answer of another shape.
#[tokio::test]
async fn leaves_every_row_when_the_server_does_not_say_who_it_is() {
    let server = support::postgres(STAGING).await;
    for (breakage, told) in [
        (
            "REVOKE EXECUTE ON FUNCTION pg_catalog.pg_is_in_recovery() FROM PUBLIC",
            "permission denied for function pg_is_in_recovery",
        ),
        (
            "CREATE OR REPLACE FUNCTION pg_catalog.pg_is_in_recovery() RETURNS bool LANGUAGE sql \
             AS 'SELECT pg_sleep(300) IS NULL'",
            "statement timeout",
        ),
        (
            "CREATE OR REPLACE FUNCTION pg_catalog.pg_is_in_recovery() RETURNS bool LANGUAGE sql AS 'SELECT NULL::bool'",
            "another shape",
        ),
    ] {
        let staging = server.storefront().await;
        let before = staging.all_rows().await;
        let mut admin = staging.admin().await;
        admin.execute("SET allow_system_table_mods = on").await.unwrap();
        admin.execute(breakage).await.unwrap();
        let policy = Policy::new().environment(policy(&[&server.address().to_string()])).unwrap();

        let refusal = refused(&Arc::new(policy), staging.options()).await;

        assert_eq!(codes(&refusal), [Code::IdentityUnknown], "{refusal}");
        assert!(refusal.to_string().contains(told), "{refusal}");
        assert_eq!(staging.all_rows().await, before);
    }
}

/// Options that were built in code, with a socket that hides behind a host.
#[tokio::test]
async fn judges_the_socket_that_the_driver_will_use() {
    let options = PgConnectOptions::new_without_pgpass().host("localhost").socket("/srv/run/staging");
    let policy = Arc::new(Policy::new().environment(policy(&["localhost"])).unwrap());

    let refusal = refused(&policy, options).await;

    assert_eq!(codes(&refusal), [Code::PlaceNotAllowed], "{refusal}");
    assert_eq!(refusal.stage(), Stage::BeforeConnecting);
}
