cat > sysv.rb <<'END'
require 'fiddle'
def libc(name, arguments, result) = Fiddle::Function.new(Fiddle::Handle::DEFAULT[name], arguments, result)
INT, POINTER, SIZE = Fiddle::TYPE_INT, Fiddle::TYPE_VOIDP, Fiddle::TYPE_SIZE_T
get, attach = libc('shmget', [INT, SIZE, INT], INT), libc('shmat', [INT, POINTER, INT], POINTER)
detach, control = libc('shmdt', [POINTER], INT), libc('shmctl', [INT, INT, POINTER], INT)
[3001, 3003].each do |size|
  id = get.call(0, size, 0600)
  memory = attach.call(id, nil, 0)
  memory[0, 5] = 'hello'
  p memory[0, 5], detach.call(memory)
  p control.call(id, 0, nil) if size == 3001
end
END
$AUDIT ruby sysv.rb
echo "ended $?"
