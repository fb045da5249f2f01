//! The words that mark production.

use std::collections::BTreeSet;

/// The words that mark production, and the ones that a team declared harmless.
///
/// A text is split at everything that is not a letter, so that `_`, `-`, `.` and digits are boundaries, and each
/// piece is compared as a whole, without case. Substrings are not enough to refuse: `latest` and `contest` hold
/// `test`, `delivery` holds `live`. Only `prod` is also found glued to other letters, because people do write
/// `pgprod` and `proddb01`; the ordinary words around `product` and `produce` are not.
///
/// | text | found | why |
/// | --- | --- | --- |
/// | `prod-pg-cluster` | `prod` | a whole piece |
/// | `app_production` | `production` | `_` is a boundary |
/// | `prod2` | `prod` | a digit is a boundary |
/// | `PGPROD`, `proddb01` | `prod` | glued to other letters |
/// | `AppProduction`, `app_produktiv` | `prod` | glued to other letters |
/// | `product-catalog`, `producer`, `reproduction` | | ordinary words |
/// | `delivery`, `olive` | | `live` is only a whole piece |
/// | `preprod`, `preproduction` | `prod` | until the team declares the word harmless |
/// | `_sqlx_test_…` and a hash | | the letters of a hash are no words |
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// use fixture_guard::Words;
///
/// let words = Words::default();
/// assert_eq!(words.find("PGPROD.internal"), Some("PGPROD"));
/// assert_eq!(words.find("delivery-of-products"), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    words: BTreeSet<String>,
    harmless: BTreeSet<String>,
}

/// The words that mark production without a policy file.
///
/// ```
/// assert!(fixture_guard_core::DEFAULT_WORDS.contains(&"prod"));
/// ```
pub const DEFAULT_WORDS: [&str; 4] = ["prod", "production", "prd", "live"];

impl Default for Words {
    fn default() -> Self {
        Self { words: DEFAULT_WORDS.map(str::to_owned).into(), harmless: BTreeSet::new() }
    }
}

/// Whether this can be a piece of a text: anything else would be a rule that never holds.
pub(crate) fn is_one(word: &str) -> bool {
    !word.is_empty() && word.chars().all(char::is_alphabetic)
}

/// Whether this can be declared harmless: a word, or words with `_`, `-`, `.` or digits between them, as
/// `production_planning`.
pub(crate) fn is_compound(name: &str) -> bool {
    let letter = |c: Option<char>| c.is_some_and(char::is_alphabetic);
    letter(name.chars().next())
        && letter(name.chars().next_back())
        && name.chars().all(|c| c.is_alphabetic() || c.is_ascii_digit() || matches!(c, '_' | '-' | '.'))
}

impl Words {
    /// Adds a word that marks production to the [`DEFAULT_WORDS`].
    pub(crate) fn add(&mut self, word: &str) {
        self.words.insert(word.to_lowercase());
    }

    /// Declares a whole word harmless, which loosens the rule for that very word.
    pub(crate) fn declare_harmless(&mut self, word: &str) {
        self.harmless.insert(word.to_lowercase());
    }

    /// The words that were declared harmless.
    pub(crate) fn harmless(&self) -> impl Iterator<Item = &str> {
        self.harmless.iter().map(String::as_str)
    }

    /// The first piece of `text` that marks production, as the text spells it.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// assert_eq!(fixture_guard::Words::default().find("app_production_2"), Some("production"));
    /// ```
    #[must_use]
    pub fn find<'t>(&self, text: &'t str) -> Option<&'t str> {
        self.find_with_word(text).map(|(piece, _)| piece)
    }

    /// Whether `text` is what a team calls its production: `prod-eu` and `PGPROD` are, `preprod` and `nonprod` hold the
    /// word and say the opposite.
    pub(crate) fn is_named_production(&self, text: &str) -> bool {
        let opposite =
            |piece: &str| ["pre", "non"].iter().any(|before| starts_with(piece.as_bytes(), before));
        text.split(|c: char| !c.is_alphabetic())
            .any(|piece| !piece.is_empty() && self.marks(piece).is_some() && !opposite(piece))
    }

    /// The first word of these that marks production in `text`, for messages that must not show the text.
    pub(crate) fn find_word(&self, text: &str) -> Option<&str> {
        self.find_with_word(text).map(|(_, word)| word)
    }

    /// As [`find`](Self::find), where a name that is harmless in a target is none: in what a process says of itself, and in
    /// the name of a variable. Only a word that holds a marking one glued to other letters, as `preprod`, may be harmless
    /// there.
    pub(crate) fn find_despite_harmless<'t>(&self, text: &'t str) -> Option<&'t str> {
        text.split(|c: char| !c.is_alphabetic()).filter(|piece| !piece.is_empty()).find(|piece| {
            self.words.iter().any(|word| word.eq_ignore_ascii_case(piece)) || self.marks(piece).is_some()
        })
    }

    fn find_with_word<'t>(&self, text: &'t str) -> Option<(&'t str, &str)> {
        let harmless = self.harmless_ranges(text);
        text.split(|c: char| !c.is_alphabetic())
            .filter(|piece| !piece.is_empty())
            .filter(|piece| {
                let start = piece.as_ptr().addr() - text.as_ptr().addr();
                !harmless.iter().any(|range| range.contains(&start))
            })
            .find_map(|piece| Some((piece, self.marks(piece)?)))
    }

    /// Where the compounds that were declared harmless are in `text`, each with its ends at the ends of pieces.
    fn harmless_ranges(&self, text: &str) -> Vec<std::ops::Range<usize>> {
        let compounds = self.harmless.iter().filter(|word| !is_one(word));
        let mut ranges = Vec::new();
        for compound in compounds {
            let lower = text.to_ascii_lowercase();
            for (start, found) in lower.match_indices(compound.as_str()) {
                let end = start + found.len();
                let letter = |c: Option<char>| c.is_some_and(char::is_alphabetic);
                if !letter(lower[..start].chars().next_back()) && !letter(lower[end..].chars().next()) {
                    ranges.push(start..end);
                }
            }
        }
        ranges
    }

    fn marks(&self, piece: &str) -> Option<&str> {
        if piece.is_ascii() {
            return self.marks_folded(piece);
        }
        self.marks_folded(&piece.to_lowercase())
    }

    /// `piece` is ASCII of any case, or lower case: nothing is copied for what is compared most.
    fn marks_folded(&self, piece: &str) -> Option<&str> {
        let whole = self.words.iter().find(|word| word.eq_ignore_ascii_case(piece));
        let glued =
            || self.words.get("prod").filter(|_| !self.harmless.contains("prod") && holds_prod(piece));
        let word = whole.or_else(glued)?;
        let harmless = self.harmless.iter().any(|word| word.eq_ignore_ascii_case(piece));
        (!harmless).then_some(word)
    }
}

/// Whether `prod` is glued into this piece without making an ordinary word of it.
fn holds_prod(piece: &str) -> bool {
    let piece = piece.as_bytes();
    (0..piece.len()).any(|at| {
        let (before, rest) = piece.split_at(at);
        let Some((found, after)) = rest.split_at_checked(4) else { return false };
        let follows = |endings: &[&str]| endings.iter().any(|ending| starts_with(after, ending));
        if !found.eq_ignore_ascii_case(b"prod") {
            return false;
        }
        if follows(&PRODUCTION) {
            return !before.eq_ignore_ascii_case(b"re"); // reproduction, and not preproduction
        }
        let is =
            |endings: &[&str]| endings.iter().any(|ending| after.eq_ignore_ascii_case(ending.as_bytes()));
        !follows(&ORDINARY) && !is(&WHOLE)
    })
}

/// After `prod`: production, produktion, producción, produção, produzione, produkcja, productie, produktiv.
const PRODUCTION: [&str; 8] = ["uction", "uktion", "ucci", "ucao", "uzion", "ukcj", "uctie", "uktiv"];

/// After `prod`: product, produce, reproducible, Produkt, Produzent, produzieren, prodigal, prodigy, prodigious,
/// prodrome. Shorter ones would match `produk` and `produs`, which are production in two countries.
const ORDINARY: [&str; 10] = ["uct", "uce", "uci", "ukt", "uzen", "uzie", "iga", "igy", "igi", "rom"];

/// After `prod`, and nothing after them: prodotto, produit, produto, prodavnica, prodaja, prodavac, prodej, prodejna,
/// prodrug in their inflections. As beginnings they would let `produitest` and `prodrugby` pass.
const WHOLE: [&str; 34] = [
    "otto", "otti", "uit", "uits", "uite", "uites", "uto", "utos", "avnica", "avnice", "avnici", "avnicu",
    "aja", "aje", "aji", "aju", "ajna", "ajni", "avac", "avca", "avci", "ej", "eje", "eji", "ejem", "ejů",
    "ejna", "ejny", "ejní", "ejce", "ejci", "rug", "rugs", "ajem",
];

fn starts_with(text: &[u8], beginning: &str) -> bool {
    text.get(..beginning.len()).is_some_and(|start| start.eq_ignore_ascii_case(beginning.as_bytes()))
}

/// The database's name without the letters of a hash: `#[sqlx::test]` names its databases `_sqlx_test_` and 52
/// characters of base64, whose runs of letters are no words.
pub(crate) fn without_hash(database: &str) -> &str {
    const PREFIX: &str = "_sqlx_test_";
    let is_hash =
        |rest: &str| rest.len() == 52 && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if database.strip_prefix(PREFIX).is_some_and(is_hash) { PREFIX } else { database }
}

/// Whether `text` reads as other letters than the ones that are compared: one word in two scripts, as `рrod` with a
/// Cyrillic `р`; Latin letters in another dress, as `ｐｒｏｄ`; or a character that does not show at all.
#[must_use]
pub(crate) fn looks_like_another(text: &str) -> bool {
    if text.is_ascii() {
        return false;
    }
    // Latin-1, Latin Extended-A and -B, and Latin Extended Additional: `größe` and `việt` are one script
    let latin =
        |c: char| c.is_ascii_alphabetic() || matches!(c, '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}');
    text.chars().any(|c| is_dressed(c) || is_invisible(c))
        || text
            .split(|c: char| !c.is_alphabetic())
            .any(|piece| piece.chars().any(latin) && !piece.chars().all(latin))
}

/// Latin letters in another dress: phonetic, superscript, letter-like, Roman numerals, encircled, ligatures, full
/// width, mathematical.
fn is_dressed(c: char) -> bool {
    matches!(c,
        '\u{1d00}'..='\u{1dbf}' | '\u{2070}'..='\u{209f}' | '\u{2100}'..='\u{214f}' | '\u{2160}'..='\u{2188}'
        | '\u{2460}'..='\u{24ff}' | '\u{fb00}'..='\u{fb06}' | '\u{ff21}'..='\u{ff5a}'
        | '\u{1d400}'..='\u{1d7ff}' | '\u{1f100}'..='\u{1f1ff}')
}

/// Characters that reorder, hide or break what a terminal shows: soft hyphen, joiners, zero width, bidirectional
/// controls, line separators, variation selectors, tags.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_whole_words_and_glued_prod() {
        let words = Words::default();
        for (text, found) in [
            ("prod-pg-cluster.internal", "prod"),
            ("app_production", "production"),
            ("orders-staging-prod2.internal", "prod"),
            ("db.PROD.internal", "PROD"),
            ("tenant_live", "live"),
            ("pgprod", "pgprod"),
            ("proddb01", "proddb"),
            ("AppProduction", "AppProduction"),
            ("productionTestCopy", "productionTestCopy"),
            ("preprod", "preprod"),
            ("db-prd-1", "prd"),
            ("produktion", "produktion"),
            ("produkcja", "produkcja"),
            ("produzione", "produzione"),
            ("produccion", "produccion"),
            ("producao", "producao"),
            ("prodtest", "prodtest"),
            ("prodajax", "prodajax"),
            ("produitest", "produitest"),
            ("prodrugby", "prodrugby"),
            ("prodejb", "prodejb"),
            ("produtoapi", "produtoapi"),
        ] {
            assert_eq!(words.find(text), Some(found), "{text}");
        }
    }

    #[test]
    fn leaves_ordinary_words_alone() {
        let words = Words::default();
        for text in [
            "product-catalog-staging",
            "products",
            "producer",
            "reproduce",
            "reproduction",
            "byproduct",
            "delivery",
            "olive",
            "alive",
            "produkte",
            "prodigy",
            "prodotto",
            "prodotti_test",
            "produit",
            "produits",
            "produto",
            "produtos",
            "prodavnica",
            "prodavnice",
            "prodavac",
            "prodaja",
            "prodej",
            "prodejna",
            "prodrug",
            "prodrugs",
            "latest",
        ] {
            assert_eq!(words.find(text), None, "{text}");
        }
    }

    #[test]
    fn a_team_declares_its_own_words() {
        let mut words = Words::default();
        words.add("Primary");
        words.declare_harmless("preprod");
        assert_eq!(words.find("pg-PRIMARY"), Some("PRIMARY"));
        assert_eq!(words.find("preprod-staging"), None);
        assert_eq!(words.find("preprod-prod"), Some("prod"));
    }

    #[test]
    fn a_harmless_compound_leaves_every_other_spelling_as_it_was() {
        let mut words = Words::default();
        words.declare_harmless("production_planning");
        for (text, found) in [
            ("production_planning_test", None),
            ("erp-Production_Planning", None),
            ("production_planning_production", Some("production")),
            ("production_planningx", Some("production")),
            ("app_production", Some("production")),
        ] {
            assert_eq!(words.find(text), found, "{text}");
        }
        assert_eq!(words.find_despite_harmless("production_planning"), Some("production"));
        words.declare_harmless("production");
        words.declare_harmless("preprod");
        assert_eq!(words.find_despite_harmless("production"), Some("production"));
        assert_eq!(words.find_despite_harmless("preprod"), None);
    }

    #[test]
    fn letters_of_two_scripts_do_not_make_one_word() {
        assert!(looks_like_another("\u{440}rod"));
        assert!(!looks_like_another("größe_test"));
        assert!(!looks_like_another("данные_test"));
    }
}
