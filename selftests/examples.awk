# SPDX-License-Identifier: GPL-2.0
#
# Pull the C code out of a document: what stands in its "code-block:: c", each
# of which must have a name. The compiler is told where it stood.

function fail(why)
{
	print FILENAME ":" FNR ": " why > "/dev/stderr"
	failed = 1
	exit 1
}

function block_ends()
{
	if (state == "options" && !named)
		fail("a code-block without :name:")
	state = ""
}

/^\.\. code-block:: *c *$/ {
	block_ends()
	state = "options"
	named = 0
	next
}

/^\.\. code-block::/ {
	fail("a code-block that is not C")
}

state == "options" && /^[ \t]+:name: / {
	name = $2
	named = 1
	next
}

state == "options" && /^[ \t]*$/ {
	if (!named)
		fail("a code-block without :name:")
	state = "code"
	blocks++
	print "/* " name " */"
	printf "#line %d \"%s\"\n", FNR + 1, FILENAME
	next
}

state == "code" && /^[^ \t]/ {
	block_ends()
}

state == "code" {
	sub(/^\t/, "")
	print
}

END {
	if (!failed && !blocks)
		fail("no code-block")
	if (failed)
		exit 1
}
