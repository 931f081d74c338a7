# Converts portsyncd.conf.example to mdoc(7): a subsection for each table, and an item for each key with
# its default and the comment above it. Indented lines of a comment keep their layout.

# put prints text and escapes it for roff.
function put(s) {
	gsub(/\\/, "\\e", s)
	print s ~ /^[.']/ ? "\\&" s : s
}

# put_sentences prints each sentence on a line, as usual in manual pages.
function put_sentences(s,  at) {
	while (at = index(s, ". ")) {
		put(substr(s, 1, at))
		s = substr(s, at + 2)
	}
	put(s)
}

function begin_literal() { if (!literal) print ".Bd -literal -compact"; literal = 1 }
function end_literal() { if (literal) print ".Ed"; literal = 0 }

# print_comment prints the comment lines since the last empty line.
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
