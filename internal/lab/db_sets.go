package lab

import "strconv"

var setCommands = []command{
	{"sadd", -3, write, cmdSAdd},
	{"srem", -3, write, cmdSRem},
	{"spop", -2, write, cmdSPop},
	{"smembers", 2, 0, cmdSMembers},
	{"sismember", 3, 0, cmdSIsMember},
	{"scard", 2, 0, cmdSCard},
}

// setAt returns the set at key argv[1], or an empty set that is not in the keyspace. ok is false if
// the value has another type.
func (r *request) setAt() (s set, ok bool) {
	switch v := r.keys()[r.argv[1]].(type) {
	case nil:
		return set{}, true
	case set:
		return v, true
	}
	return nil, false
}

func cmdSAdd(r *request) Reply {
	s, isSet := r.setAt()
	if !isSet {
		return errWrongType
	}
	before := len(s)
	for _, member := range r.argv[2:] {
		s[member] = struct{}{}
	}
	added := len(s) - before
	if added > 0 {
		r.keys()[r.argv[1]] = s
		r.touch(setEvents, "sadd", r.argv[1])
	}
	return added
}

func cmdSRem(r *request) Reply {
	s, isSet := r.setAt()
	if !isSet {
		return errWrongType
	}
	n := 0
	for _, member := range r.argv[2:] {
		if _, had := s[member]; had {
			n++
			delete(s, member)
		}
	}
	if n > 0 {
		r.touch(setEvents, "srem", r.argv[1])
		if len(s) == 0 {
			r.remove(r.argv[1])
		}
	}
	return n
}

// cmdSPop removes random members.
func cmdSPop(r *request) Reply {
	if len(r.argv) > 3 {
		return errSyntax
	}
	most := 1
	if len(r.argv) == 3 {
		var err error
		if most, err = strconv.Atoi(r.argv[2]); err != nil || most < 0 {
			return ErrorReply("ERR value is out of range, must be positive")
		}
	}
	s, isSet := r.setAt()
	if !isSet {
		return errWrongType
	}
	popped := []Reply{}
	for member := range s {
		if len(popped) == most {
			break
		}
		popped = append(popped, member)
		delete(s, member)
	}
	if len(popped) > 0 {
		r.touch(setEvents, "spop", r.argv[1])
		if len(s) == 0 {
			r.remove(r.argv[1])
		}
	}
	switch {
	case len(r.argv) == 3:
		return popped
	case len(popped) == 0:
		return nil
	}
	return popped[0]
}

func cmdSMembers(r *request) Reply {
	s, isSet := r.setAt()
	if !isSet {
		return errWrongType
	}
	out := []Reply{}
	for member := range s {
		out = append(out, member)
	}
	return out
}

func cmdSIsMember(r *request) Reply {
	s, isSet := r.setAt()
	if !isSet {
		return errWrongType
	}
	if _, has := s[r.argv[2]]; has {
		return 1
	}
	return 0
}

func cmdSCard(r *request) Reply {
	s, isSet := r.setAt()
	if !isSet {
		return errWrongType
	}
	return len(s)
}
