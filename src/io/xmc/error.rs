//! Why a data set was refused.

use std::fmt;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why a data set could not be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum XmcError {
    /// The file could not be opened or read.
    #[error("cannot read {}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file could not be created or written.
    #[error("cannot write {}: {source}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The bytes to parse could not be read.
    #[error("cannot read further: {0}")]
    Source(#[source] io::Error),
    /// The file was read, but is not a data set.
    #[error("{}: {source}", .path.display())]
    InFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with its contents.
        source: Box<XmcError>,
    },
    /// There is nothing to read.
    #[error("found no bytes, wanted a header or a line of labels and feature:value pairs")]
    Empty,
    /// A gzip stream is damaged or ends early.
    #[error("found a gzip stream that is damaged or ends early ({0}), wanted a whole one")]
    Gzip(#[source] io::Error),
    /// A count in the header is too large.
    #[error("line 1: found {found} {name} in the header, wanted at most {limit}")]
    Header {
        /// What is counted.
        name: &'static str,
        /// The count as it is written.
        found: String,
        /// The largest count that can be held.
        limit: u64,
    },
    /// The header and the lines disagree.
    #[error("found {found} points, wanted {header} as the header says")]
    Points {
        /// What the header says.
        header: u64,
        /// How many lines follow it.
        found: usize,
    },
    /// A line holds something else than labels and pairs.
    #[error("line {line}: found \"{found}\", wanted {wanted}")]
    Line {
        /// Line of the file, counted from 1.
        line: usize,
        /// The word that cannot be used, with unprintable bytes escaped.
        found: String,
        /// What should stand in its place.
        wanted: Wanted,
    },
    /// A list of row bounds to write is not valid.
    #[error(
        "found {axis} row bounds (indptr) that break at row {row}, wanted bounds that start at 0, \
         never fall, and end at the number of ids, {ids}"
    )]
    Indptr {
        /// Whose bounds.
        axis: Axis,
        /// The first row that does not fit.
        row: usize,
        /// How many ids there are.
        ids: usize,
    },
    /// An id to write is not a column.
    #[error("row {row}: found {axis} id {id}, wanted one from 0 to below {columns}")]
    Id {
        /// Whose id.
        axis: Axis,
        /// The row that holds it.
        row: usize,
        /// The id.
        id: i64,
        /// How many columns there are.
        columns: usize,
    },
    /// A value to write is infinite or not a number.
    #[error("row {row}: found the feature value {value}, wanted a finite one")]
    Value {
        /// The row that holds it.
        row: usize,
        /// The value.
        value: f32,
    },
    /// There are not as many values as feature ids.
    #[error("found {values} values for {ids} feature ids, wanted one for each")]
    Values {
        /// How many values there are.
        values: usize,
        /// How many feature ids there are.
        ids: usize,
    },
    /// Features and labels do not have the same number of rows.
    #[error(
        "found {features} rows of features and {labels} rows of labels, wanted as many of each"
    )]
    RowCounts {
        /// Rows of features.
        features: usize,
        /// Rows of labels.
        labels: usize,
    },
    /// There are more columns than the format can number here.
    #[error("found {columns} {axis} columns, wanted at most {limit}")]
    Columns {
        /// Whose columns.
        axis: Axis,
        /// How many there are.
        columns: usize,
        /// How many there may be.
        limit: u64,
    },
}

/// What an id counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// Columns of the input.
    Feature,
    /// Columns of the output.
    Label,
}

impl fmt::Display for Axis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Feature => "feature",
            Self::Label => "label",
        })
    }
}

/// What should have stood in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Label ids with commas between them.
    Labels,
    /// A feature id, a colon and a value.
    Pair,
    /// A number behind the colon.
    Value,
    /// A value that a 32-bit float can hold, also after adding up repeated features.
    FiniteValue,
    /// An id below the number of columns.
    IdBelow {
        /// What the id counts.
        axis: Axis,
        /// The number of columns.
        columns: u64,
        /// Whether the header says so; otherwise it is the most that can be held.
        from_header: bool,
    },
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Labels => f.write_str("label ids from 0 with commas between them"),
            Self::Pair => f.write_str("a feature:value pair"),
            Self::Value => f.write_str("a number after the colon"),
            Self::FiniteValue => f.write_str("a finite value within the range of 32-bit floats"),
            Self::IdBelow { axis, columns, from_header } => {
                let source =
                    if *from_header { "as the header says" } else { "the most there can be" };
                write!(f, "a {axis} id below {columns}, {source}")
            }
        }
    }
}
