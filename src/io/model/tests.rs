use super::*;
use crate::config::{AdamMode, OptimizerConfig, SecondMoment};

const fn adam(second_moment: SecondMoment, moments: config::Dtype) -> OptimizerConfig {
    let (lr, beta1, beta2, eps, weight_decay) = (None, 0.9, 0.999, 1e-8, 0.0);
    let (mode, second_moment, moments) = (AdamMode::Lazy, Some(second_moment), Some(moments));
    OptimizerConfig::Adam { lr, beta1, beta2, eps, weight_decay, mode, second_moment, moments }
}

const ADAM: OptimizerConfig = adam(SecondMoment::Entry, config::Dtype::F32);
const LIGHT: OptimizerConfig = adam(SecondMoment::Entry, config::Dtype::Bf16);
const LIGHTEST: OptimizerConfig = adam(SecondMoment::Row, config::Dtype::Bf16);
const MOMENTUM: OptimizerConfig = OptimizerConfig::Sgd { lr: None, momentum: 0.9, nesterov: false };
const ADAGRAD: OptimizerConfig = OptimizerConfig::Adagrad { lr: None, eps: 1e-8 };

/// A parameter whose moments are not zero.
fn param(dtype: config::Dtype, optimizer: &OptimizerConfig) -> Param<'static> {
    let weights = Rows::random_as(dtype, (70, 19), 1.0, (0, 0));
    let mut param = Param::new(weights, optimizer);
    for (_, rows) in param.moments_mut() {
        let n = rows.stripes().rows() * rows.width();
        rows.assign((0..n).map(|x| x as f32));
    }
    param
}

fn file(param: &Param<'_>) -> Vec<u8> {
    let moments = param.moments().iter();
    let moments = moments.map(|(moment, rows)| (moment_name("w", moment), tensor(rows)));
    let tensors = moments.chain([("w".to_owned(), tensor(param.weights()))]);
    safetensors::serialize(tensors.collect::<Vec<_>>(), None).unwrap()
}

#[test]
fn a_parameter_comes_back_with_all_that_its_optimizer_remembers() {
    for dtype in [config::Dtype::F32, config::Dtype::Bf16, config::Dtype::F16] {
        for optimizer in [ADAM, LIGHT, LIGHTEST, MOMENTUM, ADAGRAD] {
            let saved = param(dtype, &optimizer);
            let bytes = file(&saved);
            let mut read = Param::new(Rows::new(70, 19, dtype), &optimizer);
            let tensors = SafeTensors::deserialize(&bytes).unwrap();
            assert_eq!(read_param(&tensors, "w", &mut read), Ok(true));
            assert_eq!(read.weights().to_vec(), saved.weights().to_vec());
            for ((_, read), (_, saved)) in read.moments().iter().zip(saved.moments()) {
                assert_eq!(read.dtype(), saved.dtype());
                assert_eq!(read.to_vec(), saved.to_vec());
            }
        }
    }
}

#[test]
fn negative_second_moments_are_refused_however_they_are_stored() {
    for (optimizer, name) in [(LIGHT, "v"), (LIGHTEST, "v_of_row"), (ADAGRAD, "acc")] {
        let mut saved = param(config::Dtype::F32, &optimizer);
        saved.moments_mut().last_mut().unwrap().1.assign(std::iter::repeat(-1.0));
        let bytes = file(&saved);
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let refused = read_param(&tensors, "w", &mut saved).unwrap_err();
        let named = format!("tensor \"optimizer.w.{name}\" holds negative second moments");
        assert_eq!(refused, named);
    }
}

#[test]
fn another_type_is_refused_and_other_moments_are_missed() {
    let bytes = file(&param(config::Dtype::Bf16, &ADAGRAD));
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mut floats = Param::new(Rows::zeros(70, 19), &ADAM);
    let refused = read_param(&tensors, "w", &mut floats).unwrap_err();
    let expected = "tensor \"w\" is BF16 [70, 19], but F32 [70, 19] is wanted";
    assert_eq!(refused, expected);
    let mut halves = Param::new(Rows::new(70, 19, config::Dtype::Bf16), &ADAM);
    assert_eq!(read_param(&tensors, "w", &mut halves), Ok(false));
}
