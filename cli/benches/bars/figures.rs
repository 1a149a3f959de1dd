//! Medians and spreads of what was measured in turns.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// A median with its quartiles.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spread {
    /// A quarter is below.
    pub low: f64,
    /// Half is below.
    pub median: f64,
    /// Three quarters are below.
    pub high: f64,
}

impl Spread {
    /// Of these values; `None` of none.
    pub fn of(mut values: Vec<f64>) -> Option<Spread> {
        values.sort_by(f64::total_cmp);
        let last = values.len().checked_sub(1)?;
        let at = |part: f64| {
            let place = part * last as f64;
            let (below, above) = (values[place.floor() as usize], values[place.ceil() as usize]);
            below + (above - below) * place.fract()
        };
        Some(Spread { low: at(0.25), median: at(0.5), high: at(0.75) })
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        json!({ "median": round(self.median), "low": round(self.low), "high": round(self.high) })
    }
}

fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// One value of a contender.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// It.
    pub value: f64,
    /// What it is to be compared with, where the same process gave both; else the bare program's of the round.
    pub bare: Option<f64>,
}

/// One contender's values by round, or why there are none.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// Values by round.
    pub values: BTreeMap<usize, Sample>,
    /// Why it was left out.
    pub skipped: Option<String>,
}

impl Series {
    /// The values themselves.
    pub fn spread(&self) -> Option<Spread> {
        Spread::of(self.values.values().map(|sample| sample.value).collect())
    }

    /// What lies between this and `bare`, within each round.
    pub fn over(&self, bare: &Series) -> Option<Spread> {
        self.with(bare, |mine, bare| mine - bare)
    }

    /// How many times `bare` this is, within each round.
    pub fn ratio(&self, bare: &Series) -> Option<Spread> {
        self.with(bare, |mine, bare| mine / bare)
    }

    fn with(&self, bare: &Series, combine: impl Fn(f64, f64) -> f64) -> Option<Spread> {
        let pairs = self.values.iter().filter_map(|(round, mine)| {
            let bare = mine.bare.or_else(|| bare.values.get(round).map(|bare| bare.value))?;
            Some(combine(mine.value, bare))
        });
        Spread::of(pairs.collect())
    }

    /// As JSON, beside `bare`.
    pub fn json(&self, bare: &Series) -> Value {
        let shown = |spread: Option<Spread>| spread.map(|spread| spread.json());
        match &self.skipped {
            Some(why) => json!({ "skipped": why }),
            None => json!({
                "rounds": self.values.len(),
                "value": shown(self.spread()),
                "over_bare": shown(self.over(bare)),
                "ratio": shown(self.ratio(bare)),
            }),
        }
    }
}

/// A contender of [`rounds`]: how to get one value, and that it takes part in every `every`-th round only.
pub struct Turn<'a> {
    /// Every how many rounds.
    pub every: usize,
    /// One value.
    pub once: Box<dyn FnMut() -> Result<Sample, String> + 'a>,
}

/// Runs them in turns. Who fails is left out from then on.
pub fn rounds(count: usize, mut turns: Vec<Turn>) -> Vec<Series> {
    let mut series = vec![Series::default(); turns.len()];
    for round in 0..count {
        for (turn, series) in turns.iter_mut().zip(&mut series) {
            if round % turn.every != 0 || series.skipped.is_some() {
                continue;
            }
            match (turn.once)() {
                Ok(sample) => {
                    series.values.insert(round, sample);
                }
                Err(why) => series.skipped = Some(why),
            }
        }
    }
    series
}

/// The median of the numbers after `word` in a program's lines.
pub fn median_of(output: &str, word: &str) -> Result<f64, String> {
    let values = numbers(output, word).map(|numbers| numbers.first().copied().unwrap_or(0.0)).collect();
    Spread::of(values).map(|spread| spread.median).ok_or_else(|| "the program gave no figures".to_string())
}

impl From<f64> for Sample {
    fn from(value: f64) -> Sample {
        Sample { value, bare: None }
    }
}

/// What a run of `calls.c` gave.
pub fn sample(output: &str) -> Result<Sample, String> {
    Ok(Sample { value: median_of(output, "batch ")?, bare: median_of(output, "direct ").ok() })
}

/// The numbers of each of a program's lines that begins with `word`.
pub fn numbers<'a>(output: &'a str, word: &'a str) -> impl Iterator<Item = Vec<f64>> + 'a {
    let lines = output.lines().filter_map(move |line| line.trim().strip_prefix(word));
    lines.filter_map(|rest| rest.split_whitespace().map(|number| number.parse().ok()).collect())
}
