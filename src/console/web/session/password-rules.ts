// What the console will say of a password, said before it is sent. The same rules as in `access/passwords.ts`; a test compares. Pure.
export const PASSWORD_LENGTH_MIN = 10;
export const PASSWORD_LENGTH_MAX = 256;
const DIFFERENT_MIN = 5;

export type PasswordFault = 'short' | 'long' | 'monotonous' | 'hasName' | 'same';

export function passwordFault(
  password: string,
  { present, name }: { readonly present: string; readonly name: string },
): PasswordFault | null {
  if (password.length < PASSWORD_LENGTH_MIN) return 'short';
  if (password.length > PASSWORD_LENGTH_MAX) return 'long';
  if (new Set(password).size < DIFFERENT_MIN) return 'monotonous';
  if (password.toLowerCase().includes(name.toLowerCase())) return 'hasName';
  return password === present ? 'same' : null;
}
