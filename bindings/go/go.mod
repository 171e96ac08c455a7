module libmongoose-rs/bindings/go

go 1.19
