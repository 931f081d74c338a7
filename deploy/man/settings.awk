# Makes mdoc(7) of portsyncd.conf.example: a subsection for each table, an item
# for each key with its default, and as its text the comment above the key. What
# is indented in a comment stays as it is laid out.

# put prints text so that roff takes it as it is.
function put(s) {
	gsub(/\\/, "\\e", s)
	print s ~ /^[.']/ ? "\\&" s : s
}

# put_sentences does so with a line for each sentence, as manual pages have it.
function put_sentences(s,  at) {
	while (at = index(s, ". ")) {
		put(substr(s, 1, at))
		s = substr(s, at + 2)
	}
	put(s)
}

function begin_literal() { if (!literal) print ".Bd -literal -compact"; literal = 1 }
function end_literal() { if (literal) print ".Ed"; literal = 0 }

# print_comment prints the lines that were read since the last empty one.
function print_comment(  i) {
	for (i = 1; i <= n; i++) {
		if (comment[i] ~ /^ /) {
			begin_literal()
			put(comment[i])
		} else {
			end_literal()
			put_sentences(comment[i])
		}
	}
	end_literal()
}

/^\[/ {
	if (table) print ".El"
	table = 1
	print ".Ss " $0
	print ".Bl -tag -width Ds"
}
/^#/ && table { sub(/^# ?/, ""); comment[++n] = $0; next }
/^[a-z0-9_]+ = / {
	gsub(/"/, "\\(dq")
	print ".It Cm " $0
	print_comment()
}
{ n = 0 }
END { print ".El" }
