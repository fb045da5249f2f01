//! `init`: what it takes over from a project's files, and what it never writes.

use std::{fs, path::Path};

use fixture_guard_core::{Destruction, Environment, Facts, Policy, Surroundings, Target, expect, judge};
use fixture_guard_test_support::APP_PASSWORD;

use crate::program::{Said, run};

/// A project with the files that a web shop has.
fn project() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (file, text) in [
        (
            ".env",
            "# local\nexport DATABASE_URL=\"postgres://app:hunter2-vK9fQ1@localhost:5432/shop_dev\"\nREDIS_URL=redis://cache\n",
        ),
        (".env.test", "DATABASE_URL=postgres:///shop_test\n"),
        (".env.production", "DATABASE_URL='postgres://app:hunter2-vK9fQ1@10.20.0.5/shop'\n"),
        (".env.staging", "PGHOST=shop-staging-db.internal\nPGDATABASE=shop\nPGPASSWORD=hunter2-vK9fQ1\n"),
        (
            "compose.yaml",
            "services:\n  db:\n    image: postgis/postgis:16\n    environment:\n      - POSTGRES_DB=shop\n      \
             - POSTGRES_PASSWORD=hunter2-vK9fQ1\n  web:\n    image: shop\n    environment:\n      \
             DATABASE_URL: postgres://app:hunter2-vK9fQ1@db/shop\n  metrics:\n    image: prom/postgres-exporter\n",
        ),
        (
            ".github/workflows/ci.yml",
            "jobs:\n  test:\n    services:\n      postgres:\n        image: postgres:17\n    env:\n      \
             DATABASE_URL: ${{ secrets.DATABASE_URL }}\n  deploy:\n    steps:\n      \
             - run: psql postgres://deploy:hunter2-vK9fQ1@prod-pg-cluster.internal/shop -c 'select 1'\n",
        ),
        (
            ".gitlab-ci.yml",
            "test:\n  services:\n    - name: mysql:8\n      alias: shop-mysql\n    - postgres:15\n",
        ),
        (
            ".circleci/config.yml",
            "jobs:\n  test:\n    docker:\n      - image: cimg/postgres:16\n        environment:\n          POSTGRES_DB: shop_ci\n",
        ),
        (
            "config/default.toml",
            "[database]\nhost = \"reporting.internal\"\nname = \"reports\"\npassword = \"hunter2-vK9fQ1\"\n",
        ),
        ("config/production.yaml", "database:\n  host: 10.20.0.9\n  database_name: shop\n"),
    ] {
        let path = directory.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    directory
}

fn init(directory: &Path, arguments: &[&str]) -> Said {
    let said = run(directory, ["init"].iter().chain(arguments));
    assert!(!said.out.contains(APP_PASSWORD) && !said.err.contains(APP_PASSWORD), "{said:?}");
    said
}

fn parse(text: &str) -> Policy {
    Policy::parse(text, Path::new("fixture-guard.toml")).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn may_be_destroyed(policy: &Policy, dsn: &str) -> bool {
    let (target, _) = Target::from_postgres_dsn(dsn).unwrap();
    let surroundings = &Surroundings::default();
    judge(policy, &Facts { target: &target, surroundings, narrowing: None, addresses: None, identity: None })
        .is_ok()
}

#[test]
fn only_this_machine_and_containers_become_disposable() {
    let project = project();
    let said = init(project.path(), &[]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.err.is_empty(), "{}", said.err);
    let text = fs::read_to_string(project.path().join("fixture-guard.toml")).unwrap();
    assert!(!text.contains(APP_PASSWORD), "{text}");
    let policy = parse(&text);

    for (dsn, disposable) in [
        ("postgres://app@localhost/shop_dev", false),
        ("postgres://app@localhost/shop_test", true),
        ("postgres://app@localhost/shop_ci", true),
        ("postgres:///shop_test?host=/var/run/postgresql&user=app", true),
        ("postgres://app@db/shop", true),
        ("postgres://app@postgres/shop", true),
        ("postgres://app@shop-mysql/shop", true),
        ("postgres://app@web/shop", false),
        ("postgres://app@metrics/shop", false),
        ("postgres://app@shop-staging-db.internal/shop", false),
        ("postgres://app@reporting.internal/reports", false),
        ("postgres://app@10.20.0.5/shop", false),
        ("postgres://app@10.20.0.9/shop", false),
        ("postgres://app@prod-pg-cluster.internal/shop", false),
    ] {
        assert_eq!(may_be_destroyed(&policy, dsn), disposable, "{dsn}\n{text}");
    }
    let disposable: Vec<_> = policy
        .environments()
        .iter()
        .filter(|known| known.destruction() == Destruction::Allowed)
        .map(Environment::name)
        .collect();
    assert_eq!(disposable, ["local", "containers"], "{text}");
    let (target, _) = Target::from_postgres_dsn("postgres://app@10.20.0.5/shop").unwrap();
    let surroundings = &Surroundings::default();
    let facts = Facts { target: &target, surroundings, narrowing: None, addresses: None, identity: None };
    assert!(expect(&policy, &facts, "production").is_ok(), "{text}");
}

#[test]
fn every_name_says_which_file_it_comes_from() {
    let text = init(project().path(), &["--print"]).out;
    for line in [
        r#""shop_dev", # .env: DATABASE_URL"#,
        r#""shop_test", # .env.test: DATABASE_URL"#,
        r#""shop_ci", # .circleci/config.yml: jobs.test.docker"#,
        r#""db", # compose.yaml: services.db; compose.yaml: services.web.environment.DATABASE_URL"#,
        r#""postgres", # .github/workflows/ci.yml: jobs.test.services.postgres; .gitlab-ci.yml: test.services"#,
        r#""shop-staging-db.internal", # .env.staging: PGHOST"#,
        r#""10.20.0.5", # .env.production: DATABASE_URL"#,
        r#""10.20.0.9", # config/production.yaml: database.host"#,
        r#""prod-pg-cluster.internal", # .github/workflows/ci.yml: jobs.deploy.steps.run"#,
        r#""reporting.internal", # config/default.toml: database.host"#,
        "#     .github/workflows/ci.yml: jobs.test.env.DATABASE_URL",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(text.contains("[environments.staging]\ndestructive = false\n"), "{text}");
    assert!(text.contains("\nsockets = ["), "`postgres:///shop_test` is a socket\n{text}");
}

#[test]
fn two_runs_write_the_same_and_printing_writes_nothing() {
    let project = project();
    let first = init(project.path(), &["--print"]).out;
    assert!(!project.path().join("fixture-guard.toml").exists());
    assert_eq!(init(project.path(), &["--print"]).out, first);
    assert_eq!(init(project.path(), &[]).code, 0);
    assert_eq!(fs::read_to_string(project.path().join("fixture-guard.toml")).unwrap(), first);
    let elsewhere = tempfile::tempdir().unwrap();
    let said = run(elsewhere.path(), ["init", "--print", project.path().to_str().unwrap()]);
    assert_eq!(said.out, first);
}

#[test]
fn a_dsn_in_the_place_of_a_name_is_not_taken_over() {
    let project = tempfile::tempdir().unwrap();
    fs::create_dir(project.path().join("config")).unwrap();
    let url = format!("postgres://app:{APP_PASSWORD}@localhost/shop_production");
    let keywords = format!("host=x password={APP_PASSWORD}");
    for (file, text) in [
        ("config/default.toml", format!("[server]\nhost = \"127.0.0.1\"\ndatabase = \"{url}\"\n")),
        ("config/dev.yaml", format!("host: localhost\ndb: {url}\n")),
        (".env", format!("DATABASE_HOST=localhost\nDATABASE_DATABASE={keywords}\n")),
        (".env.a", format!("DB_HOST={url}\nDB_NAME=shop\n")),
        (".env.b", format!("DB_HOST={keywords}\nDB_NAME=shop\n")),
        ("compose.yaml", format!("\"{keywords}\":\n  DATABASE_URL: postgres://app@db-main.internal/shop\n")),
    ] {
        fs::write(project.path().join(file), text).unwrap();
    }
    // `init` itself holds that no password is printed
    let said = init(project.path(), &["--print"]);
    assert!(said.code == 0 && !said.out.contains("password"), "{said:?}");
    assert!(said.out.contains("db-main.internal"), "the DSN itself is read: {said:?}");
    parse(&said.out);
}

#[test]
fn only_a_databases_own_image_is_a_container_to_destroy() {
    for (image, disposable) in [
        ("ghcr.io/acme/postgres-tunnel", false),
        ("alpine/socat-postgres", false),
        ("postgrest/postgrest", false),
        ("bitnami/postgresql:16", true),
        ("supabase/postgres", true),
        ("registry.internal:5000/timescale/timescaledb@sha256:00", true),
    ] {
        let project = tempfile::tempdir().unwrap();
        let text = format!("services:\n  main-db.corp.internal:\n    image: {image}\n");
        fs::write(project.path().join("compose.yaml"), text).unwrap();
        let said = init(project.path(), &["--print"]);
        let policy = parse(&said.out);
        let dsn = "postgres://app@main-db.corp.internal/shop";
        assert_eq!(may_be_destroyed(&policy, dsn), disposable, "{image}: {}", said.out);
    }
}

#[test]
fn productions_socket_does_not_open_this_machines() {
    let project = tempfile::tempdir().unwrap();
    fs::write(project.path().join(".env.production"), "DATABASE_URL=postgres:///shop\n").unwrap();
    let said = init(project.path(), &["--print"]);
    parse(&said.out);
    assert!(!said.out.contains("\nsockets = "), "{}", said.out);
}

#[test]
fn a_policy_above_is_not_shadowed() {
    let above = crate::program::directory("[environments.mine]\nhosts = [\"x\"]\n");
    let below = above.path().join("crates/shop");
    fs::create_dir_all(&below).unwrap();
    let said = init(&below, &[]);
    assert!(said.code == 1 && said.err.contains("fixture-guard.toml holds here"), "{said:?}");
    assert!(!below.join("fixture-guard.toml").exists());
    assert_eq!(init(&below, &["--print"]).code, 0);
}

#[test]
fn never_overwrites_not_even_what_is_no_policy() {
    let project = project();
    let file = project.path().join("fixture-guard.toml");
    for content in ["[environments.mine]\nhosts = [\"x\"]\n", "", "not TOML"] {
        fs::write(&file, content).unwrap();
        let said = init(project.path(), &[]);
        assert_eq!(said.code, 1, "{said:?}");
        assert!(said.err.contains("is there already, and stays as it is"), "{}", said.err);
        assert_eq!(fs::read_to_string(&file).unwrap(), content);
    }
}

#[test]
fn an_empty_project_gets_a_policy_for_this_machine() {
    let directory = tempfile::tempdir().unwrap();
    let said = init(directory.path(), &["--print"]);
    assert_eq!(said.code, 0, "{said:?}");
    let policy = parse(&said.out);
    assert!(may_be_destroyed(&policy, "postgres://app@localhost/shop"));
    assert!(!may_be_destroyed(&policy, "postgres://app@db.internal/shop"));
}

#[test]
fn what_cannot_be_read_is_one_line_and_the_rest_goes_on() {
    let project = project();
    for (file, bytes) in [
        ("config/broken.toml", &b"password = \"hunter2-vK9fQ1"[..]),
        ("config/broken.yaml", b"database: [hunter2-vK9fQ1: {"),
        (".env.latin", b"DATABASE_URL=postgres://app:\xff@db/shop"),
        ("config/large.yaml", &vec![b'#'; (1 << 20) + 1]),
    ] {
        fs::write(project.path().join(file), bytes).unwrap();
    }
    fs::create_dir(project.path().join(".env.d")).unwrap();
    std::os::unix::fs::symlink("nowhere", project.path().join(".env.link")).unwrap();

    let said = init(project.path(), &["--print"]);

    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(said.err.lines().count(), 4, "{}", said.err);
    for line in [
        "passed over: .env.latin: it is not UTF-8",
        "config/broken.toml: line 1 is no TOML",
        "config/broken.yaml: line ",
        "passed over: config/large.yaml: it is larger than 1 MiB",
    ] {
        assert!(said.err.contains(line), "{line} is not in {}", said.err);
    }
    parse(&said.out);
    assert!(said.out.contains("shop-staging-db.internal"), "{}", said.out);
}

#[test]
fn a_name_that_is_a_container_here_and_production_there_is_left_to_a_person() {
    let project = tempfile::tempdir().unwrap();
    let service = "services:\n  db:\n    image: postgres:15\n";
    fs::write(project.path().join("docker-compose.yml"), service).unwrap();
    fs::write(project.path().join("docker-compose.prod.yml"), service).unwrap();
    let said = init(project.path(), &["--print"]);
    let policy = parse(&said.out);
    assert!(!may_be_destroyed(&policy, "postgres://app@db/shop"), "{}", said.out);
    assert!(said.out.contains("# Left out, because one file starts them as containers"), "{}", said.out);
}

#[test]
fn production_that_goes_to_this_machine_is_pointed_out() {
    let project = tempfile::tempdir().unwrap();
    let dsn = format!("DATABASE_URL=postgres://app:{APP_PASSWORD}@127.0.0.1:5433/shop\n");
    fs::write(project.path().join(".env.production"), dsn).unwrap();
    let said = init(project.path(), &["--print"]);
    assert!(said.out.contains("as through a tunnel"), "{}", said.out);
    parse(&said.out);
    assert!(said.out.contains("\nmarker = \"required\"\n"), "only what was marked: {}", said.out);
    assert!(said.out.contains("#     .env.production: DATABASE_URL\n"), "{}", said.out);
    assert!(!said.out.contains("shop"), "production's database is none to allow: {}", said.out);
}

/// Whatever stands in the files, the draft parses, names no password, and allows nothing that says production.
#[test]
fn hostile_files_make_no_broken_policy() {
    let hosts = [
        "prod\"\\].internal",
        "x\u{1}y",
        "*",
        "**",
        "a*b",
        "[::1]",
        "10.0.0.0/8",
        "\u{440}rod.internal",
        "localhost",
        "db]\nhosts = [\"*\"",
        "${HOST}",
        "$(host)",
        "{{h}}",
        "UPPER.Example",
        "trailing.",
        "ünïcode.example",
        "",
        "/tmp",
        "prod-a.internal,staging-b.internal",
        "-",
        ".",
        "%70rod",
    ];
    for (index, host) in hosts.iter().enumerate() {
        let project = tempfile::tempdir().unwrap();
        let database = hosts[(index + 7) % hosts.len()];
        let dsn = format!("postgres://app:{APP_PASSWORD}@{host}/{database}");
        fs::write(
            project.path().join(".env"),
            format!("DATABASE_URL={dsn}\nPGHOST={host}\nPGDATABASE={database}\n"),
        )
        .unwrap();
        let yaml = serde_json::json!({
            "services": { *host: { "image": "postgres:15", "environment": { "DATABASE_URL": dsn } }, dsn.clone(): { "DATABASE_URL": dsn } },
        });
        fs::write(project.path().join("compose.yml"), yaml.to_string()).unwrap();
        let said = init(project.path(), &["--print"]);
        assert_eq!(said.code, 0, "{host}: {said:?}");
        let policy = parse(&said.out);
        for production in ["prod-pg.internal", "live.internal"] {
            assert!(
                !may_be_destroyed(&policy, &format!("postgres://app@{production}/x")),
                "{host}: {}",
                said.out
            );
        }
    }
}

/// The draft for these files, and whether each DSN may be destroyed under it.
fn drafted(files: &[(&str, &str)], verdicts: &[(&str, bool)]) -> String {
    let project = tempfile::tempdir().unwrap();
    for (file, text) in files {
        let path = project.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let said = init(project.path(), &["--print"]);
    assert_eq!(said.code, 0, "{said:?}");
    let policy = parse(&said.out);
    for (dsn, disposable) in verdicts {
        assert_eq!(may_be_destroyed(&policy, dsn), *disposable, "{dsn}\n{}", said.out);
    }
    said.out
}

#[test]
fn a_development_database_is_never_disposable() {
    drafted(
        &[
            (".env", "DATABASE_URL=postgres://me:pw0pw0@localhost:5432/shop_dev\n"),
            (".env.test", "DATABASE_URL=postgres://me:pw0pw0@localhost:5432/shop_test\n"),
        ],
        &[
            ("postgres://me@localhost/shop_test", true),
            ("postgres://me@localhost/shop_dev", false),
            ("postgres://me@localhost/other", false),
        ],
    );
    // no file for tests
    drafted(
        &[(".env", "DATABASE_URL=postgres://me@localhost/shop\n")],
        &[("postgres://me@localhost/shop", false), ("postgres://me@localhost/shop_test", true)],
    );
    // one name for both
    drafted(
        &[
            (".env", "DATABASE_URL=postgres://me@localhost/shop\n"),
            (".env.test", "DATABASE_URL=postgres://me@localhost/shop\n"),
        ],
        &[("postgres://me@localhost/shop", false)],
    );
}

#[test]
fn a_hosted_database_in_env_is_protected() {
    drafted(
        &[(
            ".env",
            "DATABASE_URL=\"postgresql://postgres:hunter2hunter2@monorail.proxy.rlwy.net:41234/railway\"\n",
        )],
        &[("postgres://postgres@monorail.proxy.rlwy.net:41234/railway", false)],
    );
}

#[test]
fn a_template_of_a_configuration_is_read_with_its_defaults() {
    let config = |name: &str| {
        format!(
            "logger: {{ enable: true }}\ndatabase:\n  uri: {{{{ get_env(name=\"DATABASE_URL\", \
             default=\"postgres://loco:loco@localhost:5432/app_{name}\") }}}}\n  connect_timeout: 500\n"
        )
    };
    let text = drafted(
        &[
            ("config/development.yaml", &config("development")),
            ("config/production.yaml", &config("production")),
            ("config/test.yaml", &config("test")),
        ],
        &[
            ("postgres://loco@localhost/app_test", true),
            ("postgres://loco@localhost/app_development", false),
            ("postgres://loco@localhost/app_production", false),
        ],
    );
    assert!(text.contains("# Read:\n#     config/development.yaml\n"), "{text}");
}

#[test]
fn production_on_this_machine_stays_out() {
    drafted(
        &[
            (".env.production", "DATABASE_URL=postgres://app:pw0pw0@localhost:5432/bakery\n"),
            (".env.test", "DATABASE_URL=postgres://app:pw0pw0@localhost:5432/bakery_test\n"),
        ],
        &[("postgres://app@localhost/bakery_test", true), ("postgres://app@localhost/bakery", false)],
    );
}

#[test]
fn a_service_with_a_volume_is_somebodys_work() {
    let service = |volumes: &str, database: &str| {
        format!(
            "services:\n  db:\n    image: postgres:16\n    environment:\n      POSTGRES_DB: {database}\n{volumes}"
        )
    };
    let named = "    volumes:\n      - pgdata:/var/lib/postgresql/data\n";
    let bound = "    volumes:\n      - type: bind\n        source: ./data\n        target: /var/lib/postgresql/data\n";
    let script = "    volumes:\n      - ./init.sql:/docker-entrypoint-initdb.d/init.sql\n";
    for (volumes, disposable) in [(named, false), (bound, false), (script, true), ("", true)] {
        drafted(
            &[("infra/docker-compose.yaml", &service(volumes, "shop"))],
            &[("postgres://app@db/shop", disposable), ("postgres://app@localhost/shop", false)],
        );
    }
    // two files with one name of a service
    drafted(
        &[("compose.yaml", &service(named, "shop")), ("compose.test.yaml", &service("", "shop_test"))],
        &[
            ("postgres://app@db/shop", false),
            ("postgres://app@db/shop_test", true),
            ("postgres://app@localhost/shop", false),
            ("postgres://app@localhost/shop_test", true),
        ],
    );
}

#[test]
fn a_pipelines_container_is_for_tests() {
    drafted(
        &[(
            ".gitlab-ci.yml",
            "test:\n  services:\n    - name: postgres:16\n      alias: db\n  variables:\n    \
             DATABASE_URL: postgres://runner:pw0pw0@db:5432/app_test\ndeploy:\n  variables:\n    \
             DATABASE_URL: $PROD_DATABASE_URL\n",
        )],
        &[("postgres://runner@db/app_test", true), ("postgres://runner@prod-db/app", false)],
    );
    drafted(
        &[(
            ".github/workflows/ci.yml",
            "jobs:\n  test:\n    strategy:\n      matrix:\n        include: [\n          a,\n        ]\n    services:\n      \
             pg:\n        image: postgres:16\n        env: { POSTGRES_PASSWORD: pw0pw0, POSTGRES_DB: app_test }\n",
        )],
        &[("postgres://postgres@pg/app_test", true), ("postgres://postgres@localhost/app_test", true)],
    );
}

#[test]
fn sections_of_one_file_are_told_apart() {
    drafted(
        &[(
            "config/database.yml",
            "development:\n  database: shop_development\n  host: localhost\ntest:\n  database: shop_test\n  \
             host: localhost\nproduction:\n  database: shop\n  host: 10.20.0.5\n",
        )],
        &[
            ("postgres://app@localhost/shop_test", true),
            ("postgres://app@localhost/shop_development", false),
            ("postgres://app@10.20.0.5/shop", false),
        ],
    );
    drafted(
        &[("configuration/base.yaml", "database:\n  host: localhost\n  database_name: newsletter\n")],
        &[("postgres://app@localhost/newsletter", false)],
    );
}
