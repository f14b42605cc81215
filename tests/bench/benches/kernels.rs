//! Times the inner parts of relaying: codec, look-ups, rewriting, requests.

use criterion::{Criterion, criterion_group, criterion_main};

fn kernels(criterion: &mut Criterion) {
    for kernel in bench::kernels::ALL {
        let mut once = kernel.prepare();
        criterion.bench_function(kernel.name, |bencher| bencher.iter(&mut once));
    }
}

criterion_group!(benches, kernels);
criterion_main!(benches);
