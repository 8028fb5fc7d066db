def check_grads(f, args, order=2):
    raise NotImplementedError
