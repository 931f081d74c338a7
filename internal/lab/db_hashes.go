package lab

var hashCommands = []command{
	{"hset", -4, write, cmdHSet},
	{"hmset", -4, write, cmdHSet},
	{"hget", 3, 0, cmdHGet},
	{"hmget", -3, 0, cmdHMGet},
	{"hgetall", 2, 0, cmdHGetAll},
	{"hdel", -3, write, cmdHDel},
	{"hexists", 3, 0, cmdHExists},
	{"hlen", 2, 0, cmdHLen},
	{"hkeys", 2, 0, cmdHKeys},
}

// hashAt returns the hash at key argv[1], or an empty hash that is not in the keyspace. ok is false
// if the value has another type.
func (r *request) hashAt() (h *hash, ok bool) {
	switch v := r.keys()[r.argv[1]].(type) {
	case nil:
		return &hash{values: make(map[string]string)}, true
	case *hash:
		return v, true
	}
	return nil, false
}

func cmdHSet(r *request) Reply {
	if len(r.argv)%2 != 0 {
		return errArity(r.cmd.name)
	}
	h, isHash := r.hashAt()
	if !isHash {
		return errWrongType
	}
	added := 0
	for i := 2; i < len(r.argv); i += 2 {
		if h.set(r.argv[i], r.argv[i+1]) {
			added++
		}
	}
	r.keys()[r.argv[1]] = h
	r.touch(hashEvents, "hset", r.argv[1])
	if r.cmd.name == "hmset" {
		return ok
	}
	return added
}

// field returns the value of a field as a reply.
func (h *hash) field(name string) Reply {
	if v, has := h.values[name]; has {
		return v
	}
	return nil
}

func cmdHGet(r *request) Reply {
	h, isHash := r.hashAt()
	if !isHash {
		return errWrongType
	}
	return h.field(r.argv[2])
}

func cmdHMGet(r *request) Reply {
	h, isHash := r.hashAt()
	if !isHash {
		return errWrongType
	}
	out := []Reply{}
	for _, name := range r.argv[2:] {
		out = append(out, h.field(name))
	}
	return out
}

func cmdHGetAll(r *request) Reply {
	h, isHash := r.hashAt()
	if !isHash {
		return errWrongType
	}
	out := []Reply{}
	for _, name := range h.fields {
		out = append(out, name, h.values[name])
	}
	return out
}

func cmdHDel(r *request) Reply {
	h, isHash := r.hashAt()
	if !isHash {
		return errWrongType
	}
	n := 0
	for _, name := range r.argv[2:] {
		if h.del(name) {
			n++
		}
	}
	if n > 0 {
		r.touch(hashEvents, "hdel", r.argv[1])
		if len(h.fields) == 0 {
			r.remove(r.argv[1])
		}
	}
	return n
}

func cmdHExists(r *request) Reply {
	h, isHash := r.hashAt()
	if !isHash {
		return errWrongType
	}
	if _, has := h.values[r.argv[2]]; has {
		return 1
	}
	return 0
}

func cmdHLen(r *request) Reply {
	h, isHash := r.hashAt()
	if !isHash {
		return errWrongType
	}
	return len(h.fields)
}

func cmdHKeys(r *request) Reply {
	h, isHash := r.hashAt()
	if !isHash {
		return errWrongType
	}
	return bulks(h.fields...)
}
