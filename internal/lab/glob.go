package lab

// globMatch reports whether all of s matches a pattern of KEYS, SCAN or PSUBSCRIBE: * matches any
// bytes, ? one byte, [abc] [a-z] [^a] one byte in (or not in) a set, and \ escapes the next byte.
// The running time is at most proportional to len(pattern) * len(s). Source:
// https://redis.io/docs/latest/commands/keys/
func globMatch(pattern, s string) bool {
	p, i := 0, 0
	star, mark := -1, 0 // position of the last * and end of the bytes it matches
	for i < len(s) {
		if p < len(pattern) {
			if pattern[p] == '*' {
				star, mark = p, i
				p++
				continue
			}
			if hit, next := matchOne(pattern, p, s[i]); hit {
				p, i = next, i+1
				continue
			}
		}
		if star < 0 {
			return false
		}
		mark++
		p, i = star+1, mark
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// matchOne matches c against the pattern element at p, which must not be *. It returns the position
// of the next element.
func matchOne(pattern string, p int, c byte) (hit bool, next int) {
	switch pattern[p] {
	case '?':
		return true, p + 1
	case '[':
		return matchClass(pattern, p+1, c)
	case '\\':
		if p+1 < len(pattern) {
			p++
		}
	}
	return pattern[p] == c, p + 1
}

// matchClass matches c against the set that starts after the [ at p-1. An unterminated set extends
// to the end of the pattern.
func matchClass(pattern string, p int, c byte) (hit bool, next int) {
	negate := p < len(pattern) && pattern[p] == '^'
	if negate {
		p++
	}
	for p < len(pattern) && pattern[p] != ']' {
		switch {
		case pattern[p] == '\\' && p+1 < len(pattern):
			p++
			hit = hit || pattern[p] == c
		case p+2 < len(pattern) && pattern[p+1] == '-':
			lo, hi := min(pattern[p], pattern[p+2]), max(pattern[p], pattern[p+2])
			hit = hit || lo <= c && c <= hi
			p += 2
		default:
			hit = hit || pattern[p] == c
		}
		p++
	}
	if p < len(pattern) {
		p++ // the ]
	}
	return hit != negate, p
}
