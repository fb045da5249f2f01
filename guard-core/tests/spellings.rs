//! Spellings that fooled the guard once, and spellings that it refused for nothing.
//!
//! `tests/corpus` holds what was dialled for real; here stands what a reading of the drivers' sources brought up.

use fixture_guard_core::{Environment, Facts, Host, Pattern, Policy, Reason, Surroundings, Target, judge};

fn disposable() -> Environment {
    let mut disposable = Environment::destructive("disposable");
    for host in ["*-staging*", "localhost", "127.0.0.1", "::1"] {
        disposable = disposable.host(host).unwrap();
    }
    disposable.socket("/run/*").unwrap()
}

fn policy() -> Policy {
    Policy::new().production_word("primary").harmless_word("preprod").environment(disposable()).unwrap()
}

fn reasons(policy: &Policy, target: &Target) -> Vec<Reason> {
    let surroundings = Surroundings::default();
    let facts =
        Facts { target, surroundings: &surroundings, narrowing: None, addresses: None, identity: None };
    judge(policy, &facts).err().unwrap_or_default()
}

fn postgres(dsn: &str) -> Target {
    Target::from_postgres_dsn(dsn).unwrap_or_else(|error| panic!("{dsn}: {error}")).0
}

#[track_caller]
fn refuses(dsn: &str) {
    assert_ne!(reasons(&policy(), &postgres(dsn)), [], "{dsn} is allowed");
}

#[track_caller]
fn allows(dsn: &str) {
    assert_eq!(reasons(&policy(), &postgres(dsn)), [], "{dsn} is refused");
}

#[track_caller]
fn shows_nothing_of(secret: &str, target: &Target) {
    let shown = reasons(&policy(), target)
        .iter()
        .fold(format!("{target}\n{target:?}\n{}\n{}\n", target.database(), target.user()), |page, reason| {
            format!("{page}{reason}\n{reason:?}\n{}\n{}\n", reason.rule(), reason.help())
        });
    assert!(!shown.contains(secret), "{secret} stands in:\n{shown}");
}

#[test]
fn an_escape_in_the_session_options_hides_no_word() {
    // the server takes the backslash away: it sets search_path to `prod`
    refuses("postgres://app@db-staging.internal/app?options=-csearch_path%3Dpr%5Cod");
    refuses("postgres://app@db-staging.internal/app?options[search_path]=prod%20a");
}

#[test]
fn every_socket_in_the_dsn_counts() {
    // sqlx takes the last, tokio-postgres dials the first one first
    refuses("postgres:///app?host=/srv/main&host=/run/postgresql");
    refuses("postgres://%2Fsrv%2Fmain/app?host=/run/postgresql");
    // one path to sqlx, a path and a host to others
    refuses("postgres://%2Frun%2Fpostgresql,main.internal/app");
    refuses("postgres:///app?host=/run/postgresql,main.internal");
    allows("postgres://localhost/app?host=/run/postgresql");
    allows("postgres:///app?host=/run/postgresql&host=/run/postgresql/");
}

#[test]
fn one_socket_has_one_spelling() {
    let policy = policy().environment(Environment::protected("main").socket("/run/main").unwrap()).unwrap();
    assert_ne!(reasons(&policy, &postgres("postgres:///app?host=/run//main")), []);
    assert_ne!(reasons(&policy, &postgres("postgres:///app?host=/run/main/")), []);
}

#[test]
fn a_name_that_begins_like_an_address_is_no_address() {
    for dsn in [
        "postgres://app@127.0.0.1.main.example/app",
        "postgres://app@127.example/app",
        "postgres://app@127.0.0.1.nip.io/app",
    ] {
        assert_ne!(reasons(&Policy::built_in(), &postgres(dsn)), [], "{dsn} is allowed");
    }
    assert_eq!(reasons(&Policy::built_in(), &postgres("postgres://app@127.0.0.2/app")), []);
    let pattern = Pattern::host("10.0.*").unwrap();
    assert!(pattern.matches(Host::parse("10.0.0.5").unwrap().as_str()));
    assert!(!pattern.matches(Host::parse("10.0.0.5.main.example").unwrap().as_str()));
}

#[test]
fn a_name_longer_than_the_server_reads_is_not_compared() {
    // PostgreSQL cuts database and user at 63 bytes: what is compared is not what is used
    let long = format!("{}_staging", "m".repeat(63));
    refuses(&format!("postgres://app@db-staging.internal/{long}"));
    refuses(&format!("postgres://{long}@db-staging.internal/app"));
    refuses(&format!("postgres://app@db-staging.internal/app?user={long}"));
    allows(&format!("postgres://app@db-staging.internal/{}", "m".repeat(63)));
}

#[test]
fn letters_that_only_look_like_others_are_not_compared() {
    for database in ["ｐｒｏｄ", "𝐩𝐫𝐨𝐝", "ⓟⓡⓞⓓ", "pr\u{200b}od", "pr\u{ad}od", "\u{202e}dorp"]
    {
        refuses(&format!("postgres://app@db-staging.internal/{database}"));
    }
    for database in ["größe_test", "данные_test", "tiếng_việt", "naïve"] {
        allows(&format!("postgres://app@db-staging.internal/{database}"));
    }
}

#[test]
fn parameters_that_no_client_dials_by_are_left_alone() {
    for parameters in [
        "connect_timeout=10",
        "pool=16",
        "sslmode=require&channel_binding=require",
        "target_session_attrs=primary",
        "target_session_attrs=read-write&load_balance_hosts=random",
        "keepalives=1&keepalives_idle=30&tcp_user_timeout=5000",
        "pgbouncer=true&connection_limit=1&pool_timeout=0&socket_timeout=10",
        "schema=public",
        "options=-c%20statement_timeout%3D5000",
        "options=-c statement_timeout=5000",
        "options=-c+statement_timeout%3D5000",
        "fallback_application_name=prod-checker",
        "application_name=prod-checker",
        "sslpassword=prod",
        "sslrootcert=/etc/ssl/prod/ca.pem",
        "statement_cache_size=0&prepared_statements=false",
        "uselibpqcompat=true&gssencmode=disable&sslnegotiation=direct",
        "client_encoding=utf8&timezone=UTC",
        "options=endpoint%3Dep-cool-darkness-123456",
    ] {
        allows(&format!("postgres://app:s%40cret%2F%23%3F@db-staging.internal:5432/app?{parameters}"));
    }
    for parameters in
        ["schema=production", "HOST=db2", "service=main", "endpoint=ep-main", "proxy=x", "x;host=y"]
    {
        refuses(&format!("postgres://app@db-staging.internal/app?{parameters}"));
    }
}

#[test]
fn usual_dsns_are_left_alone() {
    for dsn in [
        "postgres://localhost",
        "postgres://localhost/",
        "postgres://localhost:/app_test",
        "postgresql://LOCALHOST:5432/app_test",
        "POSTGRESQL://app:p%40ss@LocalHost/app_test",
        "postgres://app%40server:x@server-staging.postgres.database.azure.com:5432/app?sslmode=require",
        "postgres://postgres.abcdefghijklmnop:x@aws-0-staging.pooler.supabase.com:6543/postgres",
        "postgres://neondb_owner:x@ep-cool-staging-pooler.us-east-2.aws.neon.tech/neondb?sslmode=require&channel_binding=require",
        "postgres://u1234:p1234@ec2-52-1-2-3-staging.compute-1.amazonaws.com:5432/d4f5g6",
        "postgres://app:100%sure@localhost/app_test",
        "postgres://app@localhost/app%20test",
        "postgres://app@localhost/app+test",
        "postgres://app@db-staging.internal./app",
        "postgres://app@[0:0:0:0:0:0:0:1]/app",
        "postgres://app@[::ffff:127.0.0.1]/app",
        "postgres://app:@localhost/app",
        "postgres://app@localhost/app?",
        "postgres://app@localhost/app?&",
    ] {
        allows(dsn);
    }
}

#[test]
fn the_letters_of_a_generated_name_are_no_word() {
    // `#[sqlx::test]` hashes the test's path; the runs of letters in a hash mean nothing
    let hash = "aB3-prd-PROD-live-Q7x0123456789abcdefghijklmnopqrstu".replace('-', "_");
    assert_eq!(hash.len(), 52);
    allows(&format!("postgres://app@localhost/_sqlx_test_{hash}"));
    refuses("postgres://app@localhost/_sqlx_test_prod");
    refuses(&format!("postgres://app@localhost/app_test_{hash}"));
}

#[test]
fn a_password_that_was_not_escaped_is_shown_nowhere() {
    for (secret, dsn) in [
        ("hunter2", "postgres://app:1/hunter2@db-staging.internal/app"),
        ("hunter2", "postgres://app:1?hunter2=x@db-staging.internal/app"),
        ("hunter2", "postgres://app:1?host=hunter2&x=@db-staging.internal/app"),
        ("hunter2", "postgres://app:1?user_hunter2=x&y@db-staging.internal/app"),
        ("hunter2", "postgres://app:1#hunter2@db-staging.internal/app"),
        ("hunter2", "postgres://app:p@hunter2/x@db-staging.internal/app"),
        ("hunter2", "postgres://corp/app:hunter2@db-staging.internal/app"),
        ("hunter2", "postgres:app:hunter2@db-staging.internal/app"),
        ("hunter2", "postgres:/app:hunter2@db-staging.internal/app"),
        ("hunter2", "http:app:hunter2@db-staging.internal/app"),
        ("hunter2", "jdbc:postgresql://app:hunter2@db-staging.internal/app"),
        ("hunter2", "postgres://app@db-staging.internal/app?apikey=hunter2prod"),
        ("hunter2", "postgres://app@db-staging.internal/app?password=hunter2&pwd=hunter2&x=hunter2"),
        ("hunter", "postgres://app@db-staging.internal/app?token=hunterprod"),
        ("hunter", "postgres://app@db-staging.internal/app?options=-cx.token%3Dhunterprod"),
    ] {
        let target = postgres(dsn);
        shows_nothing_of(secret, &target);
    }
}

#[test]
fn production_has_more_spellings_than_one() {
    for database in [
        "preproduction",
        "storeproduction",
        "produk1",
        "produseast1",
        "app_produccion",
        "app_producao",
        "app_produzione",
        "app_produkcja",
        "app_productie",
        "produktiv",
        "PrOdUcTiOn",
    ] {
        refuses(&format!("postgres://app@db-staging.internal/{database}"));
    }
    for database in ["producers", "produkte", "reproducible", "reproduktion", "productivity", "produzenten"] {
        allows(&format!("postgres://app@db-staging.internal/{database}"));
    }
}

#[cfg(feature = "mysql")]
mod mysql {
    use super::*;

    fn mysql(dsn: &str) -> Target {
        Target::from_mysql_dsn(dsn).unwrap_or_else(|error| panic!("{dsn}: {error}")).0
    }

    #[test]
    fn a_parameter_is_not_sql() {
        // sqlx-mysql writes these three into one `SET` statement, and its connections take several statements
        for parameter in [
            "charset=utf8mb4;USE%20main",
            "collation=utf8mb4_bin;USE%20main",
            "timezone=%2B00:00';USE%20main;--",
            "time-zone='",
        ] {
            let dsn = format!("mysql://app@db-staging.internal/shop?{parameter}");
            assert_ne!(reasons(&policy(), &mysql(&dsn)), [], "{dsn} is allowed");
        }
        for parameter in [
            "charset=utf8mb4&collation=utf8mb4_unicode_ci",
            "timezone=%2B02:00",
            "timezone=Europe/Berlin",
            "serverTimezone=UTC&useSSL=false&allowPublicKeyRetrieval=true",
            "parseTime=true&loc=Local&multiStatements=true",
            "supportBigNumbers=true&createDatabaseIfNotExist=true",
            "ssl-mode=DISABLED",
        ] {
            let dsn = format!("mysql://app@db-staging.internal/shop?{parameter}");
            assert_eq!(reasons(&policy(), &mysql(&dsn)), [], "{dsn} is refused");
        }
    }

    #[test]
    fn a_missing_database_is_none_of_the_listed_ones() {
        let policy = Policy::new().environment(disposable().database("shop").unwrap()).unwrap();
        assert_eq!(reasons(&policy, &mysql("mysql://app@db-staging.internal/shop")), []);
        assert_ne!(reasons(&policy, &mysql("mysql://app@db-staging.internal")), []);
    }

    #[test]
    fn every_socket_in_the_dsn_counts() {
        let dsn = "mysql://app@db-staging.internal/shop?socket=/srv/main.sock&socket=/run/mysqld.sock";
        assert_ne!(reasons(&policy(), &mysql(dsn)), []);
        assert_eq!(reasons(&policy(), &mysql("mysql://app@localhost/shop?socket=/run/mysqld.sock")), []);
    }
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use super::*;

    fn sqlite(dsn: &str) -> Target {
        Target::from_sqlite_dsn(dsn).unwrap_or_else(|error| panic!("{dsn}: {error}")).0
    }

    #[track_caller]
    fn refuses(dsn: &str) {
        assert_ne!(reasons(&policy(), &sqlite(dsn)), [], "{dsn} is allowed");
    }

    #[track_caller]
    fn allows(dsn: &str) {
        assert_eq!(reasons(&policy(), &sqlite(dsn)), [], "{dsn} is refused");
    }

    #[test]
    fn the_inner_uri_decides_whether_a_database_is_in_memory() {
        // SQLite reads the modes of the inner URI from left to right, over the flags that sqlx gives it
        refuses("sqlite:file:shop.db%3Fmode=rw?mode=memory");
        refuses("sqlite:file:shop.db%3Fmode=memory%26mode=rw");
        refuses("sqlite:file:shop.db%3Fmode=memory%2500x");
        allows("sqlite:file:shop.db%3Fmode=memory");
        allows("sqlite:file:shop.db?mode=memory");
        allows("sqlite::memory:");
        allows("sqlite://:memory:");
        allows("sqlite:file::memory:");
    }

    #[test]
    fn a_name_that_begins_like_one_of_the_drivers_own_is_a_file() {
        refuses("sqlite:file:sqlx-in-memory-1/../shop.db");
        refuses("sqlite:file:sqlx-in-memory-x");
    }

    #[test]
    fn a_uri_that_the_driver_wraps_in_another_is_refused() {
        // with these parameters sqlx opens a file whose name begins with `file:`
        let directory = tempfile::tempdir().unwrap();
        let inner = format!("sqlite:file:{}/x-staging.db", directory.path().display());
        allows(&inner);
        refuses(&format!("{inner}?immutable=true"));
        refuses(&format!("{inner}?vfs=unix"));
    }

    #[test]
    fn a_pattern_for_a_file_ignores_case_as_one_for_a_host_does() {
        let directory = tempfile::tempdir().unwrap();
        let dsn = format!("sqlite:{}/Shop-Staging.db", directory.path().display());
        allows(&dsn);
        let policy = policy().environment(Environment::protected("main").host("*Shop*").unwrap()).unwrap();
        assert_ne!(reasons(&policy, &sqlite(&dsn)), []);
    }

    #[test]
    fn a_database_in_memory_fits_a_policy_with_several_environments() {
        let policy = policy().environment(Environment::destructive("other").host("other").unwrap()).unwrap();
        assert_eq!(reasons(&policy, &sqlite("sqlite::memory:")), []);
    }
}

/// A whole DSN pasted into a variable or a parameter that wants a name.
#[test]
fn a_connection_string_in_the_place_of_a_name_is_refused_and_not_shown() {
    for dsn in [
        "postgres://app%3Ahunter2@localhost/shop",
        "postgres://localhost/shop?host=postgres%3A%2F%2Fapp%3Ahunter2%40db",
        "postgres://localhost/shop?host=postgres%3A%2F%2Fapp%3Ahunter2%40db&host=localhost",
        "postgres://localhost/shop?dbname=password%3Dhunter2",
        "postgres://localhost/shop;User=sa;Password=hunter2",
        "postgres://localhost/postgres%3A%2F%2Fapp%3Ahunter2%40db%2Fshop",
    ] {
        refuses(dsn);
        shows_nothing_of("hunter2", &postgres(dsn));
    }
    let options = sqlx::postgres::PgConnectOptions::new_without_pgpass();
    for options in [
        options.clone().host("postgres://app:hunter2@db/shop"),
        options.clone().host("localhost").database("postgres://app:hunter2@db/shop"),
        options.clone().host("localhost").username("app:hunter2"),
    ] {
        let target = Target::from(&options);
        assert_ne!(reasons(&policy(), &target), []);
        shows_nothing_of("hunter2", &target);
    }
}

#[test]
#[cfg(feature = "sqlite")]
fn a_connection_string_is_no_file() {
    for dsn in [
        "postgres://app:hunter2@db/shop",
        "sqlite:postgres://app:hunter2@db/shop",
        "sqlite://app:hunter2@db/shop",
    ] {
        let (target, _) = Target::from_sqlite_dsn(dsn).unwrap();
        assert_ne!(reasons(&policy(), &target), [], "{dsn}");
        shows_nothing_of("hunter2", &target);
    }
}
