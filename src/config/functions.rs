//! The functions of a network: losses and activations.

use serde::{Deserialize, Serialize};

/// What is minimised. With `a` a logit and `y` its target, summed over the active neurons and
/// averaged over the samples of a batch:
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// Cross entropy of a softmax over the active neurons; the targets of a row's labels sum
    /// to 1, in the ratio of their grades.
    Softmax,
    /// Each label of a row is a cross entropy of its own: its target is its grade.
    SoftmaxPerLabel,
    /// Binary cross entropy of each neuron, `log(1 + exp(a)) - y a`.
    Sigmoid,
    /// `(a - y)^2 / 2`
    Squared,
    /// `max(0, 1 - s a)`, with s = 1 for labels and -1 for others.
    Hinge,
    /// `max(0, 1 - s a)^2`
    SquaredHinge,
}

/// Applied to each unit of a hidden layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `z`
    Linear,
    /// `max(z, 0)`
    Relu,
    /// `tanh(z)`
    Tanh,
    /// `1 / (1 + exp(-z))`
    Sigmoid,
    /// `z` above zero, `0.01 z` below.
    LeakyRelu,
    /// `z Phi(z)`, with Phi the standard normal distribution function (Hendrycks and Gimpel,
    /// 2016).
    Gelu,
}

impl Loss {
    /// Every loss.
    pub const ALL: [Self; 6] = [
        Self::Softmax,
        Self::SoftmaxPerLabel,
        Self::Sigmoid,
        Self::Squared,
        Self::Hinge,
        Self::SquaredHinge,
    ];
}

impl Activation {
    /// Every activation.
    pub const ALL: [Self; 6] =
        [Self::Linear, Self::Relu, Self::Tanh, Self::Sigmoid, Self::LeakyRelu, Self::Gelu];
}
